use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};

use crate::process::Process;
use crate::{Browser, Pki, setup};

/// The member under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
const LIMIT: Duration = Duration::from_secs(30);

/// Chromium without a screen, as its user sees it: the pages of servers that others wrote, with their
/// scripts, and every rule that a browser of today keeps about cookies, forms and redirects.
///
/// It is driven by `chromedriver` (WebDriver), and takes the certificates of any authority. It ends with
/// this value, or with the test program.
#[derive(Debug)]
pub struct Chromium {
    /// Ends after the browser, which it would otherwise leave behind.
    _driver: Process,
    http: reqwest::Client,
    port: u16,
    session: String,
}

impl Chromium {
    /// Starts a browser that has never been anywhere.
    ///
    /// # Panics
    /// Where `chromium` or `chromedriver` is missing or does not start.
    pub async fn start() -> Self {
        setup::demand("chromium", "--version", "Chromium ", 120, "chromium");
        setup::demand(
            "chromedriver",
            "--version",
            "ChromeDriver ",
            120,
            "chromium-driver",
        );
        let folder = setup::run_folder("chromium");
        let log = folder.join("log");
        let mut command = Command::new("chromedriver");
        command.arg("--port=0");
        let mut driver = Process::start(&mut command, &log);
        let port = driver.until(LIMIT, || {
            let text = fs::read_to_string(&log).ok()?;
            let (_, rest) = text.split_once("successfully on port ")?;
            rest.split('.').next()?.parse().ok()
        });
        let mut browser = Self {
            _driver: driver,
            // Nothing here goes over TLS.
            http: Browser::client(&Pki::new()),
            port,
            session: String::new(),
        };
        let profile = format!("--user-data-dir={}", folder.join("profile").display());
        let arguments = [
            "--headless=new",
            // Containers and root have no sandbox to offer. It visits servers of ours alone.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--no-proxy-server",
            // Nothing leaves this machine, and no page waits for what is elsewhere.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
            "--window-size=900,760",
            &profile,
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "acceptInsecureCerts": true,
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let answer = browser.post("/session", &wanted).await;
        let session = answer["sessionId"].as_str().expect("a session");
        session.clone_into(&mut browser.session);
        browser
    }

    /// Opens a URL.
    pub async fn open(&self, url: &str) {
        self.in_session("/url", &json!({"url": url})).await;
    }

    /// Where it is.
    pub async fn url(&self) -> String {
        let url = self.ask("/url").await;
        url.as_str().expect("a URL").to_owned()
    }

    /// Waits until the first element of that CSS selector says this to the user.
    ///
    /// # Panics
    /// Where it does not come to say so; the message says what stands there instead.
    pub async fn until_text(&self, selector: &str, text: &str) {
        let end = Instant::now() + LIMIT;
        // The page may change between finding an element and reading it.
        while self.try_text(selector).await.as_deref() != Some(text) {
            if Instant::now() > end {
                let (url, found) = (self.url().await, self.text("body").await);
                let console = self.console().await;
                panic!("no {selector} {text:?}, but {url}:\n{found}\n{console}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn try_text(&self, selector: &str) -> Option<String> {
        let wanted = json!({"using": "css selector", "value": selector});
        let session = format!("/session/{}", self.session);
        let path = format!("{session}/element");
        let found = self.send(&path, Some(&wanted)).await.ok()?;
        let path = format!("{session}/element/{}/text", found[ELEMENT].as_str()?);
        let text = self.send(&path, None).await.ok()?;
        text.as_str().map(str::to_owned)
    }

    /// Clicks on the first element of that CSS selector, once there is one.
    pub async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        let path = format!("/element/{element}/click");
        self.in_session(&path, &json!({})).await;
    }

    /// Types into the first element of that CSS selector.
    pub async fn type_into(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        let path = format!("/element/{element}/value");
        self.in_session(&path, &json!({"text": text})).await;
    }

    /// What the first element of that CSS selector says to the user.
    pub async fn text(&self, selector: &str) -> String {
        let element = self.find(selector).await;
        let text = self.ask(&format!("/element/{element}/text")).await;
        text.as_str().expect("text").to_owned()
    }

    /// The cookies that the page here gets, as WebDriver tells of them.
    pub async fn cookies(&self) -> Vec<Value> {
        let cookies = self.ask("/cookie").await;
        cookies.as_array().expect("cookies").clone()
    }

    /// What a script of the page gets to see.
    pub async fn script(&self, script: &str) -> Value {
        self.in_session("/execute/sync", &json!({"script": script, "args": []}))
            .await
    }

    /// What the browser has to say of the pages since it was last asked.
    pub async fn console(&self) -> Value {
        self.in_session("/se/log", &json!({"type": "browser"}))
            .await
    }

    /// Opens another tab and goes there.
    pub async fn open_tab(&self) {
        let tab = self
            .in_session("/window/new", &json!({"type": "tab"}))
            .await;
        self.go_to_tab(tab["handle"].as_str().expect("a tab")).await;
    }

    /// The tab that it is in.
    pub async fn tab(&self) -> String {
        let tab = self.ask("/window").await;
        tab.as_str().expect("a tab").to_owned()
    }

    /// Goes to a tab.
    pub async fn go_to_tab(&self, tab: &str) {
        self.in_session("/window", &json!({"handle": tab})).await;
    }

    /// Takes a picture of the page, for a person to look at: `interop/screenshots/NAME.png` in cargo's
    /// target directory.
    pub async fn screenshot(&self, name: &str) -> PathBuf {
        let picture = self.ask("/screenshot").await;
        let picture = picture.as_str().expect("a picture");
        let picture = Base64::decode_vec(picture).expect("base64");
        let folder = setup::cache().join("screenshots");
        fs::create_dir_all(&folder).expect("the cache is ours");
        let file = folder.join(format!("{name}.png"));
        fs::write(&file, picture).expect("the cache is ours");
        file
    }

    async fn find(&self, selector: &str) -> String {
        let wanted = json!({"using": "css selector", "value": selector});
        let end = Instant::now() + LIMIT;
        loop {
            let path = format!("/session/{}/element", self.session);
            match self.send(&path, Some(&wanted)).await {
                Ok(found) => return found[ELEMENT].as_str().expect("an element").to_owned(),
                Err(refusal) => assert!(
                    Instant::now() < end,
                    "{selector} is not on the page {}: {refusal}",
                    self.url().await
                ),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn ask(&self, path: &str) -> Value {
        let path = format!("/session/{}{path}", self.session);
        self.send(&path, None)
            .await
            .unwrap_or_else(|refusal| panic!("{path}: {refusal}"))
    }

    async fn in_session(&self, path: &str, body: &Value) -> Value {
        self.post(&format!("/session/{}{path}", self.session), body)
            .await
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.send(path, Some(body))
            .await
            .unwrap_or_else(|refusal| panic!("{path}: {refusal}"))
    }

    async fn send(&self, path: &str, body: Option<&Value>) -> Result<Value, Value> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let request = match body {
            Some(body) => self.http.post(url).body(body.to_string()),
            None => self.http.get(url),
        };
        let response = request.send().await.expect("chromedriver answers");
        let succeeded = response.status().is_success();
        let text = response.text().await.expect("an answer");
        let mut answer: Value = serde_json::from_str(&text).expect("JSON");
        let value = answer["value"].take();
        if succeeded { Ok(value) } else { Err(value) }
    }
}

/// Closes the browser.
impl Drop for Chromium {
    fn drop(&mut self) {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return;
        };
        let _ = stream.set_read_timeout(Some(LIMIT));
        let _ = write!(
            stream,
            "DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
            self.session
        );
        // The answer comes when the browser is gone.
        let _ = stream.read_to_end(&mut Vec::new());
    }
}
