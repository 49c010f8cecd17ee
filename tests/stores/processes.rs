//! Several processes that use one folder at once.
//!
//! A test runs itself again, as another process, with the folder in its environment.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fapi_client::StoreError;
use fapi_client::store::{FileStore, Locks, Records, Transactions};

use super::files::{Scratch, key, login, record, replacing};

const FOLDER: &str = "FAPI_TEST_FOLDER";
const LIFE: Duration = Duration::from_secs(900);
const OTHERS: usize = 3;

/// The folder, where this is one of the other processes.
fn inherited() -> Option<FileStore> {
    let path = env::var_os(FOLDER)?;
    Some(FileStore::open(path).unwrap())
}

fn another(test: &str, folder: &Scratch) -> Child {
    Command::new(env::current_exe().unwrap())
        .args([
            &format!("stores::processes::{test}"),
            "--exact",
            "--nocapture",
        ])
        .env(FOLDER, folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What the others say after `label`, once they have ended well.
fn said(others: Vec<Child>, label: &str) -> Vec<String> {
    let mut said = Vec::new();
    for other in others {
        let output = other.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        let lines = text.lines().filter_map(|line| line.strip_prefix(label));
        said.extend(lines.map(str::to_owned));
    }
    said
}

/// Of several that count up, none loses what another has written.
#[tokio::test]
async fn a_record_is_written_by_one_at_a_time() {
    const TIMES: u32 = 20;
    if let Some(store) = inherited() {
        let mut written = 0;
        while written < TIMES {
            let stored = store.load(&key(1)).await.unwrap().unwrap();
            let count = u32::from_be_bytes(stored.bytes.try_into().unwrap());
            let replace = replacing(stored.version, &(count + 1).to_be_bytes());
            match store.replace(&key(1), replace).await {
                Ok(_) => written += 1,
                Err(error) => assert_eq!(error, StoreError::Conflict),
            }
        }
        return;
    }
    let folder = Scratch::new();
    let store = folder.open();
    let zero = record(&0_u32.to_be_bytes());
    store.create(&key(1), zero).await.unwrap();
    let test = "a_record_is_written_by_one_at_a_time";
    let others = (0..OTHERS).map(|_| another(test, &folder)).collect();
    said(others, "");
    let stored = store.load(&key(1)).await.unwrap().unwrap();
    let total = TIMES * u32::try_from(OTHERS).unwrap();
    assert_eq!(stored.bytes, total.to_be_bytes());
}

/// SEC-6.4: a login is taken by one of the processes that a callback may reach.
#[tokio::test]
async fn a_login_is_taken_by_one() {
    const LOGINS: u64 = 16;
    if let Some(store) = inherited() {
        for id in 0..LOGINS {
            if let Some(bytes) = store.take(&login(1, id)).await.unwrap() {
                println!("\ntook {}", bytes[0]);
            }
        }
        return;
    }
    let folder = Scratch::new();
    let store = folder.open();
    for id in 0..LOGINS {
        let byte = u8::try_from(id).unwrap();
        store.put(&login(1, id), vec![byte], LIFE).await.unwrap();
    }
    let others = (0..OTHERS)
        .map(|_| another("a_login_is_taken_by_one", &folder))
        .collect();
    let mut taken = said(others, "took ");
    taken.sort();
    let mut expected: Vec<String> = (0..LOGINS).map(|id| id.to_string()).collect();
    expected.sort();
    assert_eq!(taken, expected);
    assert_eq!(folder.names(), ["store"]);
}

/// A lock ends with its holder, though it is killed: nobody waits for a dead process.
#[tokio::test]
async fn a_lock_ends_with_its_process() {
    if let Some(store) = inherited() {
        let lease = store.acquire(&key(1), LIFE, LIFE).await.unwrap();
        println!("\nholds {}", lease.fence());
        // Until it is killed.
        std::future::pending::<()>().await;
        return;
    }
    let folder = Scratch::new();
    let store = folder.open();
    let mut other = another("a_lock_ends_with_its_process", &folder);
    let output = BufReader::new(other.stdout.take().unwrap());
    let fence = output
        .lines()
        .find_map(|line| Some(line.unwrap().strip_prefix("holds ")?.to_owned()));
    let fence: u64 = fence.unwrap().parse().unwrap();
    let brief = Duration::from_millis(100);
    let locked = store.acquire(&key(1), LIFE, brief).await;
    assert_eq!(locked.err(), Some(StoreError::Locked));

    other.kill().unwrap();
    other.wait().unwrap();
    let lease = store.acquire(&key(1), LIFE, Duration::ZERO).await.unwrap();
    assert!(lease.fence() > fence);
}
