use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// An address that stays, in front of a server that may be replaced, as a failover has it. What is connected
/// stays with the server that it came to; who comes later gets to the new one.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    port: Arc<Mutex<u16>>,
    task: JoinHandle<()>,
}

impl Gateway {
    /// Leads to that port of the loopback interface.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let port = Arc::new(Mutex::new(port));
        let task = tokio::spawn(serve(listener, port.clone()));
        Self {
            address,
            port,
            task,
        }
    }

    /// Leads to another port from now on.
    pub fn lead_to(&self, port: u16) {
        *self.port.lock().unwrap_or_else(PoisonError::into_inner) = port;
    }

    /// Where it is itself.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, port: Arc<Mutex<u16>>) {
    while let Ok((mut outside, _)) = listener.accept().await {
        let port = *port.lock().unwrap_or_else(PoisonError::into_inner);
        tokio::spawn(async move {
            // Where nobody listens, the connection is closed.
            if let Ok(mut inside) = TcpStream::connect(("127.0.0.1", port)).await {
                drop(copy_bidirectional(&mut outside, &mut inside).await);
            }
        });
    }
}
