//! Everything on this machine can speak to the port; the pages are for the browser that opened the link.

use std::net::{TcpListener, TcpStream};

use super::browser::{Ui, ask};

/// What a stranger must not find in any answer.
fn tells_nothing(page: &super::browser::Page) {
    assert!(page.header("set-cookie").is_empty(), "{page:?}");
    assert!(!page.body.contains("passphrase") && !page.body.contains("<form"), "{page:?}");
}

#[test]
fn a_name_that_was_bent_to_this_address_is_not_answered() {
    let dir = tempfile::tempdir().unwrap();
    let ui = Ui::open(dir.path(), &[]);
    for host in ["evil.example", "localhost", "127.0.0.1", "127.0.0.1:1", "[::1]"] {
        for host in [host.to_owned(), format!("{host}:{}", ui.port)] {
            if host == format!("127.0.0.1:{}", ui.port) {
                continue;
            }
            let head = ui
                .head("GET", &ui.at("/"), "")
                .replace(&format!("Host: 127.0.0.1:{}", ui.port), &format!("Host: {host}"));
            let page = ask(ui.port, &head, b"");
            // What cannot be a host is refused before it is looked at.
            assert!([421, 400].contains(&page.status), "{host} {page:?}");
            tells_nothing(&page);
        }
    }
    let absolute = ui.head("GET", &format!("http://evil.example:{}{}", ui.port, ui.at("/")), "");
    assert_eq!(ask(ui.port, &absolute, b"").status, 421);
    assert_eq!(ui.get("/start").status, 200, "and the right one is");
}

#[test]
fn the_link_opens_once_and_no_guess_opens_anything() {
    let dir = tempfile::tempdir().unwrap();
    let ui = Ui::start(dir.path(), &[]);
    let token = ui.token().to_owned();
    for guess in ["0".repeat(64), String::new(), token[1..].to_owned(), format!("{token}/"), token.to_uppercase()] {
        let page = ask(ui.port, &ui.head("GET", &format!("/open/{guess}"), ""), b"");
        assert_eq!(page.status, 403, "{guess} {page:?}");
        tells_nothing(&page);
    }
    let posted = ui.head("POST", &format!("/open/{token}"), &format!("Origin: http://127.0.0.1:{}\r\n", ui.port));
    assert_eq!(ask(ui.port, &posted, b"").status, 403, "it is opened, not sent");
    let opened = ask(ui.port, &ui.head("GET", &format!("/open/{token}"), ""), b"");
    assert_eq!(opened.status, 200, "{opened:?}");
    let cookie = opened.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && cookie.contains("Path=/"), "{cookie}");
    assert!(!cookie.contains("Path=/;") && !opened.body.contains(&token) && !cookie.contains(&token), "{cookie}");
    let again = ask(ui.port, &ui.head("GET", &format!("/open/{token}"), ""), b"");
    assert_eq!(again.status, 403, "a second time");
    tells_nothing(&again);
}

#[test]
fn without_its_cookie_nobody_sees_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let mut ui = Ui::open(dir.path(), &[]);
    let (path, right) = (ui.at("/"), ui.cookie.clone());
    let (name, value) = right.split_once('=').unwrap();
    let wrong = [
        String::new(),
        format!("{name}="),
        format!("{name}={}", "0".repeat(value.len())),
        format!("{name}={}", &value[1..]),
        format!("session={value}"),
        // What another server of this machine has set for 127.0.0.1, whatever its port.
        format!("{}={value}", name.to_uppercase()),
        format!("id={}; token={}", "1".repeat(64), "2".repeat(64)),
    ];
    for cookie in wrong {
        ui.cookie.clone_from(&cookie);
        for path in [&path, "/", "/0/", &format!("{path}live"), "/favicon.ico"] {
            let page = ask(ui.port, &ui.head("GET", path, ""), b"");
            assert_eq!(page.status, 403, "{cookie} {path} {page:?}");
            tells_nothing(&page);
        }
    }
    // Beside the cookie of another server the right one is still right.
    ui.cookie = format!("{name}=of-another; {right}");
    assert_eq!(ui.get("/start").status, 200);
}

#[test]
fn only_its_own_pages_post() {
    let dir = tempfile::tempdir().unwrap();
    let ui = Ui::open(dir.path(), &[]);
    let other = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (own, foreign) = (format!("http://127.0.0.1:{}", ui.port), format!("http://127.0.0.1:{other}"));
    let forged = [
        String::new(),
        "Origin: null\r\n".to_owned(),
        "Origin: null\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n".to_owned(),
        "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n".to_owned(),
        format!("Origin: {foreign}\r\nSec-Fetch-Site: same-site\r\n"),
        format!("Origin: {own}\r\nSec-Fetch-Site: cross-site\r\n"),
        format!("Origin: {own}\r\nSec-Fetch-Site: same-site\r\n"),
        format!("Origin: {own}.evil.example\r\n"),
        format!("Referer: {own}/\r\n"),
    ];
    for lines in forged {
        let more = format!("{lines}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n");
        for method in ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"] {
            let page = ask(ui.port, &ui.head(method, &ui.at("/lock"), &more), b"");
            assert_eq!(page.status, 403, "{method} {lines} {page:?}");
            assert!(page.header("access-control-allow-origin").is_empty(), "{page:?}");
        }
    }
}

#[test]
fn every_answer_says_what_a_browser_may_do_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let ui = Ui::open(dir.path(), &[]);
    let strange = ask(ui.port, &ui.head("GET", "/strange", ""), b"");
    let style = ask(ui.port, &ui.head("GET", "/style.css", ""), b"");
    let foreign = ask(ui.port, &ui.head("POST", &ui.at("/"), ""), b"");
    for page in [ui.get("/start"), ui.get("/no-such-page"), strange, style, foreign] {
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(page.header(name), value, "{name} {page:?}");
        }
        let content = page.header("content-security-policy");
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(content.split(';').any(|one| one.trim() == rule), "{rule}: {content}");
        }
        assert!(!content.contains("unsafe") && !content.contains('*'), "{content}");
        assert!(page.header("access-control-allow-origin").is_empty());
        // Nothing in a page needs what the rules forbid.
        let body = page.body.to_lowercase();
        assert!(!body.contains("<script>") && !body.contains(" style=") && !body.contains(" onclick="), "{page:?}");
        let hidden = ui.cookie.split_once('=').unwrap().1;
        assert!(!page.body.contains(hidden), "the cookie's value stands in no page");
    }
    let framed =
        ask(ui.port, &ui.head("GET", &ui.at("/"), "Sec-Fetch-Dest: iframe\r\nSec-Fetch-Site: cross-site\r\n"), b"");
    assert_eq!(framed.status, 403, "{framed:?}");
}

#[test]
fn what_is_too_large_is_not_read_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let ui = Ui::open(dir.path(), &[]);
    let origin = format!("Origin: http://127.0.0.1:{}\r\nSec-Fetch-Site: same-origin\r\n", ui.port);
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let long = format!("text={}", "a".repeat(600 * 1024));
    let more = format!("{origin}{form}Content-Length: {}\r\n", long.len());
    assert_eq!(ask(ui.port, &ui.head("POST", &ui.at("/"), &more), long.as_bytes()).status, 413);
    let promised = format!("{origin}{form}Content-Length: 99999999999\r\n");
    assert_eq!(ask(ui.port, &ui.head("POST", &ui.at("/"), &promised), b"text=").status, 413, "by its promise alone");
    let chunked = format!("{origin}{form}Transfer-Encoding: chunked\r\n");
    let chunk = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    assert_eq!(ask(ui.port, &ui.head("POST", &ui.at("/"), &chunked), chunk.as_bytes()).status, 413);
    let many = "a=&".repeat(5000);
    let more = format!("{origin}{form}Content-Length: {}\r\n", many.len());
    assert_eq!(ask(ui.port, &ui.head("POST", &ui.at("/"), &more), many.as_bytes()).status, 413, "many fields");
    let part = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.pdf\"\r\n\r\n";
    let file = format!("{part}{}\r\n--x--\r\n", "a".repeat(27 * 1024 * 1024));
    let more = format!("{origin}Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {}\r\n", file.len());
    assert_eq!(ask(ui.port, &ui.head("POST", &ui.at("/"), &more), file.as_bytes()).status, 413, "a large file");
    let more = format!("{origin}Content-Type: application/json\r\nContent-Length: 2\r\n");
    assert_eq!(ask(ui.port, &ui.head("POST", &ui.at("/"), &more), b"{}").status, 415, "no form");
    let more = format!("X-Long: {}\r\n", "a".repeat(64 * 1024));
    assert!([431, 0].contains(&ask(ui.port, &ui.head("GET", &ui.at("/"), &more), b"").status), "a long head");
    assert_eq!(ui.get("/start").status, 200, "it goes on");
}

#[test]
fn no_path_leads_to_a_file_of_this_machine() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("brev.txt"), "hemmelig").unwrap();
    let ui = Ui::open(dir.path(), &[]);
    for path in [
        "/../brev.txt",
        "/%2e%2e/brev.txt",
        "/..%2fbrev.txt",
        "//brev.txt",
        "/./brev.txt",
        "/brev.txt",
        "/\\..\\brev.txt",
        "/etc/passwd",
        "/%00",
        "/..%5c..%5cbrev.txt",
    ] {
        let page = ui.get(path);
        assert!([303, 400, 403, 404].contains(&page.status), "{path} {page:?}");
        assert!(!page.body.contains("hemmelig") && !page.body.contains("root:"), "{path}");
    }
}

/// Another user of the machine, with the link in hand.
#[test]
#[cfg(target_os = "linux")]
fn another_user_of_the_machine_is_not_spoken_with() {
    let dir = tempfile::tempdir().unwrap();
    let ui = Ui::start(dir.path(), &[]);
    let mut other = std::process::Command::new("setpriv");
    other.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "curl", "-s", "-m", "10", &ui.link]);
    let Ok(output) = other.output() else {
        eprintln!("NOT RUN: setpriv or curl is not there");
        return;
    };
    if String::from_utf8_lossy(&output.stderr).contains("setpriv") {
        eprintln!("NOT RUN: who tests may not be somebody else here");
        return;
    }
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    let mut ui = ui;
    let token = ui.token().to_owned();
    ui.cookie.clear();
    assert_eq!(ask(ui.port, &ui.head("GET", &format!("/open/{token}"), ""), b"").status, 200, "the link is still good");
}

#[test]
fn it_listens_on_this_machine_s_own_address_and_leaves_no_word_of_anybody_in_sight() {
    let dir = tempfile::tempdir().unwrap();
    let ui = Ui::open(dir.path(), &[]);
    assert!(TcpStream::connect(("::1", ui.port)).is_err(), "IPv6 is not answered");
    #[cfg(target_os = "linux")]
    {
        let tables =
            std::fs::read_to_string("/proc/net/tcp").unwrap() + &std::fs::read_to_string("/proc/net/tcp6").unwrap();
        let port = format!(":{:04X}", ui.port);
        let listens =
            |line: &&str| line.split_whitespace().nth(1).is_some_and(|at| at.ends_with(&port)) && line.contains(" 0A ");
        let listening: Vec<&str> = tables.lines().filter(listens).collect();
        assert_eq!(listening.len(), 1, "{listening:?}");
        assert!(listening[0].contains(&format!("0100007F{port}")), "{listening:?}");
        let words = std::fs::read(format!("/proc/{}/cmdline", ui.child.as_ref().unwrap().id())).unwrap();
        let words = String::from_utf8_lossy(&words).into_owned();
        assert!(!words.contains(ui.token()) && !words.contains(&ui.cookie), "{words}");
    }
}
