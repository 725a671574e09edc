//! Who comes in at the loopback port, and who does not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;
use axum::http::HeaderValue;

fn headers(all: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in all {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn asked(gate: &Gate, method: Method, uri: &str, all: &[(&str, &str)]) -> Result<(), Outside> {
    gate.at_the_port(&method, &uri.parse().unwrap(), &headers(all))
}

#[test]
fn only_this_very_address_is_answered() {
    let (gate, _) = Gate::new(8123).unwrap();
    let get = |uri: &str, all: &[(&str, &str)]| asked(&gate, Method::GET, uri, all);
    assert_eq!(get("/", &[("host", "127.0.0.1:8123")]), Ok(()));
    for host in
        ["localhost:8123", "127.0.0.1", "127.0.0.1:8124", "evil.example:8123", "127.0.0.1:8123.", "[::1]:8123", ""]
    {
        assert_eq!(get("/", &[("host", host)]), Err(Outside::Elsewhere), "{host}");
    }
    assert_eq!(get("/", &[]), Err(Outside::Elsewhere));
    let twice = [("host", "127.0.0.1:8123"), ("host", "evil.example")];
    assert_eq!(get("/", &twice), Err(Outside::Elsewhere));
    assert_eq!(get("http://evil.example/", &[("host", "127.0.0.1:8123")]), Err(Outside::Elsewhere));
}

#[test]
fn a_page_of_another_origin_posts_nothing() {
    let (gate, _) = Gate::new(8123).unwrap();
    let post = |more: &[(&str, &str)]| asked(&gate, Method::POST, "/", &[&[("host", "127.0.0.1:8123")], more].concat());
    let (own, site, mode) = ("http://127.0.0.1:8123", "sec-fetch-site", "sec-fetch-mode");
    assert_eq!(post(&[("origin", own)]), Ok(()));
    assert_eq!(post(&[("origin", own), (site, "same-origin")]), Ok(()));
    assert_eq!(post(&[("origin", "null"), (site, "same-origin"), (mode, "navigate")]), Ok(()));
    for foreign in [
        &[][..],
        &[("origin", "null")],
        &[("origin", "null"), (site, "cross-site"), (mode, "navigate")],
        &[("origin", "null"), (site, "same-origin"), (mode, "no-cors")],
        &[("origin", "http://127.0.0.1:8124")],
        &[("origin", "https://127.0.0.1:8123")],
        &[("origin", "http://localhost:8123")],
        &[("origin", "http://127.0.0.1:8123/")],
        &[("origin", own), ("origin", own)],
        &[(site, "same-origin"), (mode, "navigate")],
        &[("origin", own), (site, "same-site")],
        &[("origin", own), (site, "cross-site")],
        &[("origin", own), (site, "none")],
        &[("origin", own), (site, "same-origin"), (site, "cross-site")],
    ] {
        assert_eq!(post(foreign), Err(Outside::Foreign), "{foreign:?}");
    }
}

#[test]
fn no_page_is_shown_inside_another() {
    let (gate, _) = Gate::new(8123).unwrap();
    for dest in ["iframe", "frame", "embed", "object", "fencedframe"] {
        let all = [("host", "127.0.0.1:8123"), ("sec-fetch-dest", dest)];
        assert_eq!(asked(&gate, Method::GET, "/", &all), Err(Outside::Framed), "{dest}");
    }
    assert_eq!(asked(&gate, Method::GET, "/", &[("host", "127.0.0.1:8123"), ("sec-fetch-dest", "document")]), Ok(()));
}

#[test]
fn a_link_opens_once_and_a_guessed_one_never() {
    let (gate, secret) = Gate::new(8123).unwrap();
    let link = gate.link().unwrap();
    let token = link.rsplit('/').next().unwrap();
    assert_eq!(token.len(), 64);
    for guessed in ["", "0", &"0".repeat(64), &token[1..], &format!("{token}0"), &token.to_uppercase()] {
        assert_eq!(gate.trade(guessed, &secret), Err(Outside::Spent), "{guessed}");
    }
    let cookie = gate.trade(token, &secret).unwrap();
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict") && cookie.contains(&format!("; Path={};", gate.base())));
    assert_eq!(gate.trade(token, &secret), Err(Outside::Spent), "a second time");
    assert!(!link.contains(&**secret) && !link.contains(gate.base()));
}

#[test]
fn the_cookie_of_this_run_alone_lets_in() {
    let (gate, secret) = Gate::new(8123).unwrap();
    let (other, others) = Gate::new(8123).unwrap();
    let path = format!("{}/1/i-dag", gate.base());
    let name = gate.cookie.clone();
    let come = |line: &str| gate.inside(&path, &headers(&[("cookie", line)]));
    assert_eq!(come(&format!("{name}={}", *secret)), Ok("/1/i-dag"));
    assert_eq!(come(&format!("a=b; {name}=0; {name}={}", *secret)), Ok("/1/i-dag"));
    for line in
        [String::new(), format!("{name}={}", *others), format!("{}={}", other.cookie, *secret), format!("{name}=")]
    {
        assert_eq!(come(&line), Err(Outside::Unknown), "{line}");
    }
    let own = headers(&[("cookie", &format!("{name}={}", *secret))]);
    for path in ["/", "/1/i-dag", &format!("{}x/1", gate.base()), &format!("/x{}", gate.base())] {
        assert_eq!(gate.inside(path, &own), Err(Outside::Unknown), "{path}");
    }
    assert_eq!(gate.inside(gate.base(), &own), Ok(""));
}

#[test]
fn what_no_page_is_called_is_no_path() {
    for path in ["/", "/1/i-dag", "/1/logg/0a1b/notater", "/1/style.css"] {
        assert!(is_plain(path), "{path}");
    }
    for path in
        ["", "1", "/../etc/passwd", "/1/..", "/1/./x", "//evil.example", "/1//x", "/%2e%2e/x", "/1\\x", "/1/å", "/a b"]
    {
        assert!(!is_plain(path), "{path}");
    }
}
