//! One page: what the pages want is asked of the home, and what they answer goes out. Nothing is decided here.

use std::collections::BTreeMap;

use axum::http::header::{CONTENT_DISPOSITION, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use stafett_client_core::answer::{Answer, Me, Moment};
use stafett_client_core::client::input::{Blame, Command as Wish, Problem};
use stafett_pages::{self as pages, Draft, Drafts, Home, HomeHere, HostWish, Reply, Status, Timestamp};
use stafett_words::messages::{Language, Messages};
use zeroize::Zeroizing;

use crate::host::clock::moment_text;
use crate::host::desk::does;
use crate::host::door::{Ask, Stand};
use crate::host::fault::{Exit, Fault};
use crate::ui::keeper::{Presence, Way};
use crate::ui::site::{Sent, Site};
use crate::ui::{homes, outside};

/// How often pages may want more before they show something.
const ROUNDS: usize = 8;
/// Whatever values a problem names.
const VALUES: [&str; 13] =
    ["what", "most", "given", "sign", "today", "nth", "begins", "device", "server", "off", "unit", "way", "detail"];

/// What is known before a page is made.
struct Known {
    way: Option<Way>,
    stand: Stand,
    status: Status,
    drafts: Drafts,
}

/// A page, or what comes of a form.
pub async fn page(site: &Site, home: usize, sent: Sent) -> Response {
    let known = known(site, home).await;
    let language = known.stand.language.as_deref().and_then(language_named).unwrap_or_else(|| site.language());
    let ask = pages::Ask {
        method: if sent.method == Method::POST { pages::Method::Post } else { pages::Method::Get },
        path: sent.path,
        fields: sent.form.fields,
        file: sent.form.file.map(|(name, bytes)| pages::UploadedFile { name, bytes }),
        language,
        now: Timestamp::now(),
        zone: site.zone.clone(),
    };
    let (answers, file) = if let Some(wish) = pages::asked_of_host(&ask) {
        match fulfilled(site, home, known.way.as_ref(), &wish).await {
            Ok(path) => return site.see(&path),
            Err(fault) => (vec![Err(problem(fault))], None),
        }
    } else if let Some(way) = &known.way {
        asked(way, &ask, pages::wanted(&ask)).await
    } else {
        (vec![], None)
    };
    shown(site, home, &ask, known, answers, file).await
}

/// Asks for the page until there is one.
async fn shown(
    site: &Site,
    home: usize,
    ask: &pages::Ask,
    mut known: Known,
    mut answers: Vec<Result<Answer, Problem>>,
    mut file: Option<Vec<u8>>,
) -> Response {
    let messages = Messages::of(ask.language);
    if ask.method == pages::Method::Post && known.way.is_some() {
        // What was done may have changed what waits, and who one is.
        let fresh = self::known(site, home).await;
        (known.status, known.stand) = (fresh.status, fresh.stand);
    }
    for _ in 0..ROUNDS {
        match pages::show(ask, &answers, &known.status, &known.drafts, &messages) {
            Reply::Page { html, status, .. } => return page_of(site, home, &html, status, known.stand.turn),
            Reply::See(path) => return see(site, home, ask, &path),
            Reply::File { name, mime, bytes } => {
                return bytes.or(file).map_or_else(|| broken(ask.language), |bytes| download(&name, mime, bytes));
            }
            Reply::More(wishes) => {
                let Some(way) = &known.way else { return broken(ask.language) };
                let (more, beside) = asked(way, ask, wishes).await;
                answers.extend(more);
                file = beside.or(file);
            }
        }
    }
    broken(ask.language)
}

async fn known(site: &Site, home: usize) -> Known {
    let way = site.keeper.way(home);
    let stand = match &way {
        Some(way) => way.ask(Ask::Stand).await.ok().and_then(|answer| answer.stand).unwrap_or_default(),
        None => Stand::default(),
    };
    let me = match &way {
        Some(way) => me(way).await,
        None => None,
    };
    let there = match site.keeper.presence(home) {
        Some(Presence::Open) => Home::Open,
        Some(Presence::Locked) => Home::Locked,
        Some(Presence::Nobody) | None => Home::None,
    };
    let homes = site.keeper.dirs().into_iter().enumerate().filter(|(at, _)| {
        *at == home || site.keeper.presence(*at).is_some_and(|presence| presence != Presence::Nobody)
    });
    let name = |dir: std::path::PathBuf| dir.file_name().map(|name| name.to_string_lossy().into_owned());
    let homes = homes.map(|(at, dir)| HomeHere { id: at.to_string(), name: name(dir), this: at == home }).collect();
    let drafts = stand.typed.iter().map(|(path, typed)| {
        let saved = Some(Moment::from(moment_text(typed.at)));
        (path.clone(), Draft { fields: typed.fields.clone(), saved })
    });
    let drafts = drafts.collect();
    Known { way, status: Status { home: there, online: stand.online, me, homes, keeps_drafts: true }, stand, drafts }
}

async fn me(way: &Way) -> Option<Me> {
    match way.ask(Ask::Wish(Wish::Me)).await.ok()?.outcome.ok()? {
        Answer::Me(me) => Some(me),
        _ => None,
    }
}

/// Wishes in their order. Of a form that does several things nothing is done after what is refused, and what was typed for it
/// goes with the last, in one transaction.
async fn asked(way: &Way, ask: &pages::Ask, wishes: Vec<Wish>) -> (Vec<Result<Answer, Problem>>, Option<Vec<u8>>) {
    let (mut answers, mut file, last) = (Vec::new(), None, wishes.len().saturating_sub(1));
    let deed = ask.method == pages::Method::Post && wishes.iter().any(does);
    let mut refused: Option<Problem> = None;
    for (at, wish) in wishes.into_iter().enumerate() {
        if let Some(problem) = refused.as_ref().filter(|_| deed) {
            answers.push(Err(problem.clone()));
            continue;
        }
        let asked = if deed && at == last { Ask::Say { wish, page: ask.path.clone() } } else { Ask::Wish(wish) };
        let answer = way.ask(asked).await.and_then(|answer| {
            file = answer.file.or(file.take());
            answer.outcome
        });
        let answer = answer.map_err(problem);
        refused = answer.as_ref().err().cloned();
        answers.push(answer);
    }
    (answers, file)
}

/// What only this process can do; where it leads.
async fn fulfilled(site: &Site, home: usize, way: Option<&Way>, wish: &HostWish) -> Result<String, Fault> {
    let secret = |text: &str| Zeroizing::new(text.to_owned());
    let mut to = format!("/{home}{}", pages::after(wish));
    match wish {
        HostWish::MakeHome { passphrase, join } => {
            let _one = site.trying.lock().await;
            homes::begin(&site.keeper, home, join.clone(), &secret(passphrase)).await?;
        }
        HostWish::Unlock { passphrase } => {
            let _one = site.trying.lock().await;
            homes::unlock(&site.keeper, home, passphrase).await?;
            if let Some(path) = site.came_from(home) {
                to = format!("/{home}{path}");
            }
        }
        HostWish::Lock => site.keeper.lock(home),
        HostWish::Language(language) => match way {
            Some(way) => drop(way.ask(Ask::Speak { language: outside::tag(*language).to_owned() }).await?),
            None => site.speak(*language),
        },
        HostWish::ChangePassphrase { old, new } => {
            let _one = site.trying.lock().await;
            let dir = site.keeper.dir(home).ok_or_else(|| Fault::usage("no-home", ""))?;
            homes::change_passphrase(dir, old, &secret(new)).await?;
        }
        HostWish::ChooseHome(chosen) => {
            let there = |id: &String| id.parse().ok().filter(|at| site.keeper.dir(*at).is_some());
            let at = match chosen {
                Some(id) => there(id),
                None => site.one_more(),
            };
            to = format!("/{}/", at.ok_or_else(|| Fault::usage("no-home", ""))?);
        }
    }
    Ok(to)
}

/// Where a form is sent, beside its fields.
const DRAFT_OF: &str = "draft-of";

/// The page on which a form stands that is sent there.
fn page_with(action: &str) -> Option<String> {
    pages::forms().find_map(|(at, page, _)| {
        let (wanted, given): (Vec<&str>, Vec<&str>) = (at.split('/').collect(), action.split('/').collect());
        let fits = |(wanted, given): (&&str, &&str)| wanted == given || wanted.starts_with('{') && !given.is_empty();
        if wanted.len() != given.len() || !wanted.iter().zip(&given).all(fits) {
            return None;
        }
        let filled = |step: &str| {
            let id = wanted.iter().zip(&given).find(|(name, _)| **name == step).map(|(_, id)| (*id).to_owned());
            id.unwrap_or_else(|| step.to_owned())
        };
        Some(page.split('/').map(filled).collect::<Vec<_>>().join("/"))
    })
}

/// Keeps what was typed. The script of a page gets the words that stand beside the form then, a press the page once more.
pub async fn typed(site: &Site, home: usize, sent: Sent) -> Response {
    let (fields, by_itself) = (sent.form.fields, sent.by_itself);
    let (Some(way), Some(base)) = (site.keeper.way(home), Some(format!("{}/{home}", site.gate.base()))) else {
        return outside::answer(StatusCode::CONFLICT, "text/plain; charset=utf-8", "");
    };
    let action = fields.iter().find(|(name, _)| name == DRAFT_OF).map(|(_, value)| value.as_str());
    let page = action.map(|action| action.strip_prefix(&base).unwrap_or(action).to_owned());
    let Some((page, stands)) = page.and_then(|page| page_with(&page).map(|stands| (page, stands))) else {
        return outside::answer(StatusCode::BAD_REQUEST, "text/plain; charset=utf-8", "");
    };
    // Only what a form of the pages can be sent to has a draft, and no secret is ever in it.
    let secret =
        |name: &str| name == DRAFT_OF || name.contains("passphrase") || ["again", "old", "new"].contains(&name);
    let fields: BTreeMap<String, String> = fields.into_iter().filter(|(name, _)| !secret(name)).collect();
    match way.ask(Ask::Type { page: page.clone(), fields }).await {
        Ok(_) if !by_itself => site.see(&format!("/{home}{stands}")),
        Ok(answer) => {
            let stand = answer.stand.unwrap_or_default();
            let language = stand.language.as_deref().and_then(language_named).unwrap_or_else(|| site.language());
            let saved = stand.typed.get(&page).map(|typed| moment_text(typed.at));
            let text = saved.and_then(|at| {
                let messages = Messages::of(language);
                let at = stafett_words::dates::shown(&messages, &at, &site.zone)?;
                Some(messages.say("page.draft.saved", &[("at", &at)]))
            });
            outside::answer(StatusCode::OK, "text/plain; charset=utf-8", text.unwrap_or_default())
        }
        Err(_) => outside::answer(StatusCode::CONFLICT, "text/plain; charset=utf-8", ""),
    }
}

fn page_of(site: &Site, home: usize, html: &str, status: u16, turn: u64) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let html = rebased(html, &format!("{}/{home}", site.gate.base()), turn);
    outside::answer(status, "text/html; charset=utf-8", html)
}

/// Pages begin at `/`; here they begin below a path of chance. Whatever people wrote has no quotation mark of its own in a page
/// (maud writes `&quot;`), so that these signs are an attribute's and nothing else.
fn rebased(html: &str, base: &str, turn: u64) -> String {
    let html = [" href=\"/", " src=\"/", " action=\"/", " formaction=\"/"]
        .into_iter()
        .fold(html.to_owned(), |html, start| html.replace(start, &format!("{}{base}/", start.trim_end_matches('/'))));
    html.replace(" data-live=\"on\"", &format!(" data-live=\"{turn}\""))
}

fn see(site: &Site, home: usize, ask: &pages::Ask, path: &str) -> Response {
    if path == "/unlock" && ask.method == pages::Method::Get {
        site.comes_from(home, &ask.path);
    }
    site.see(&format!("/{home}{path}"))
}

/// A file to keep, never to be shown as a page of ours.
fn download(name: &str, mime: &'static str, bytes: Vec<u8>) -> Response {
    let mut response = outside::answer(StatusCode::OK, mime, bytes);
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_. ".contains(c) { c } else { '_' }).collect();
    let named = form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20");
    let value = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{named}");
    let value = HeaderValue::from_str(&value).unwrap_or_else(|_| HeaderValue::from_static("attachment"));
    response.headers_mut().insert(CONTENT_DISPOSITION, value);
    response
}

fn broken(language: Language) -> Response {
    outside::told(StatusCode::INTERNAL_SERVER_ERROR, language, "ui.not-understood")
}

fn language_named(name: &str) -> Option<Language> {
    [Language::Bokmaal, Language::Nynorsk, Language::English].into_iter().find(|one| outside::tag(*one) == name)
}

/// What the home said no with, in the form that pages have words for.
fn problem(fault: Fault) -> Problem {
    let Fault { exit, code, detail, values } = fault;
    let blame = match exit {
        Exit::Done | Exit::Refused => Blame::Rule,
        Exit::Usage => Blame::Caller,
        Exit::Unreachable => Blame::Net,
        Exit::Damaged => Blame::Data,
    };
    let known = |name: &str| VALUES.iter().find(|one| **one == name).copied();
    let values = values.into_iter().filter_map(|(name, value)| Some((known(&name)?, value))).collect();
    Problem { code, message: detail, blame, values }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_move_below_the_base_and_words_stay_as_they_are() {
        let html = "<body data-live=\"on\"><a href=\"/log/1\">/log/1</a><form action=\"/x\"></form><a href=\"#main\"></a>\
                    <p>href=&quot;/evil&quot; href='/x'</p>";
        let moved = rebased(html, "/b/0", 7);
        let expected = "<body data-live=\"7\"><a href=\"/b/0/log/1\">/log/1</a><form action=\"/b/0/x\"></form><a href=\"#main\"></a>\
                        <p>href=&quot;/evil&quot; href='/x'</p>";
        assert_eq!(moved, expected);
    }
}
