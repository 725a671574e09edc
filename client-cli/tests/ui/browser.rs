//! As little of a browser as the stories need: one connection a request, the cookie kept, forms sent as a page sends them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::{lines, stafett, text};

/// What came back.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub head: Vec<(String, String)>,
    pub body: String,
}

impl Page {
    pub fn header(&self, name: &str) -> &str {
        self.head.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// One raw request, and everything that comes until the other end closes.
pub fn ask(port: u16, head: &str, body: &[u8]) -> Page {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    // Who refuses early reads no more.
    let _ = stream.write_all(body);
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard);
    let heard = String::from_utf8_lossy(&heard).into_owned();
    let (top, body) = heard.split_once("\r\n\r\n").unwrap_or((&heard, ""));
    let mut top = top.lines();
    let status = top.next().and_then(|line| line.split(' ').nth(1)).and_then(|word| word.parse().ok());
    let head = top.filter_map(|line| line.split_once(": "));
    let head = head.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Page { status: status.unwrap_or_default(), head, body: body.to_owned() }
}

/// `stafett ui`, running, and a browser that opened its link.
pub struct Ui {
    /// None where somebody else has started it.
    pub child: Option<Child>,
    pub link: String,
    pub port: u16,
    pub cookie: String,
    /// Where its pages begin.
    pub base: String,
}

impl Ui {
    /// Running, with nobody let in yet.
    pub fn start(root: &Path, set: &[(&str, &str)]) -> Self {
        let mut command = stafett();
        command.env_remove("STAFETT_PASSPHRASE").envs(set.iter().copied());
        command.args(["--json", "ui", "--no-open", "--home"]).arg(root);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let told = lines(child.stdout.take().unwrap()).next().expect("a line");
        let link = text(&told, "link");
        let mut ui = Self::at_link(&link);
        ui.child = Some(child);
        ui
    }

    fn at_link(link: &str) -> Self {
        let port = link.split(':').nth(2).and_then(|rest| rest.split('/').next()).unwrap().parse().unwrap();
        Self { child: None, link: link.to_owned(), port, cookie: String::new(), base: String::new() }
    }

    /// Running, and in.
    pub fn open(root: &Path, set: &[(&str, &str)]) -> Self {
        let mut ui = Self::start(root, set);
        ui.enter();
        ui
    }

    /// In, where it runs already.
    pub fn through(link: &str) -> Self {
        let mut ui = Self::at_link(link);
        ui.enter();
        ui
    }

    fn enter(&mut self) {
        let ui = self;
        let token = ui.token().to_owned();
        let page = ask(ui.port, &ui.head("GET", &format!("/open/{token}"), ""), b"");
        assert_eq!(page.status, 200, "{page:?}");
        ui.cookie = page.header("set-cookie").split(';').next().unwrap().to_owned();
        ui.base = page.header("set-cookie").split("Path=").nth(1).unwrap().split(';').next().unwrap().to_owned();
        assert!(!ui.cookie.is_empty() && ui.base.len() > 10, "{page:?}");
    }

    pub fn token(&self) -> &str {
        self.link.rsplit('/').next().unwrap()
    }

    /// The head of a request as a browser writes it, with more lines after it.
    pub fn head(&self, method: &str, path: &str, more: &str) -> String {
        let cookie = if self.cookie.is_empty() { String::new() } else { format!("Cookie: {}\r\n", self.cookie) };
        let host = format!("127.0.0.1:{}", self.port);
        format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{cookie}Connection: close\r\n{more}\r\n")
    }

    /// A page of the one home, or of the home of that number (`/1/…`).
    pub fn get(&self, path: &str) -> Page {
        ask(self.port, &self.head("GET", &self.at(path), ""), b"")
    }

    pub fn at(&self, path: &str) -> String {
        if path.starts_with(&self.base) { path.to_owned() } else { format!("{}/0{path}", self.base) }
    }

    /// A form, sent from the page itself.
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.sends(path, fields, "")
    }

    fn sends(&self, path: &str, fields: &[(&str, &str)], more: &str) -> Page {
        let body = form(fields);
        let more = format!(
            "{more}Origin: http://127.0.0.1:{}\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
            self.port,
            body.len()
        );
        ask(self.port, &self.head("POST", &self.at(path), &more), body.as_bytes())
    }

    /// A form that must be taken, and the page that comes after it.
    pub fn done(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let page = self.post(path, fields);
        assert_eq!(page.status, 303, "{path} {fields:?} {page:?}");
        let to = page.header("location").to_owned();
        let page = self.get(&to);
        assert_eq!(page.status, 200, "{to} {page:?}");
        page
    }

    /// A page that says it, in time.
    pub fn until(&self, path: &str, says: &str) -> Page {
        let began = Instant::now();
        loop {
            let page = self.get(path);
            if page.body.contains(says) {
                return page;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{path} never said {says}: {page:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What is typed, as the page's script keeps it.
    pub fn types(&self, action: &str, fields: &[(&str, &str)]) -> Page {
        let to = self.at(action);
        self.sends("/draft", &[fields, &[("draft-of", &to)]].concat(), "X-Stafett: shell\r\n")
    }

    /// The stream of news of a page that was made at this turn.
    pub fn live(&self, page: &Page) -> BufReader<TcpStream> {
        let turn = page.body.split("data-live=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a live page");
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(self.head("GET", &self.at(&format!("/live?since={turn}")), "").as_bytes()).unwrap();
        BufReader::new(stream)
    }

    /// Without a warning, as by a cut of the power.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Ui {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits for the next news.
pub fn news(live: &mut BufReader<TcpStream>) {
    let mut line = String::new();
    while !line.contains("event: news") {
        line.clear();
        assert!(live.read_line(&mut line).unwrap() > 0, "the stream ended");
    }
}

pub fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}
