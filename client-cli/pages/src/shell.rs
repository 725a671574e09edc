//! What stands around every page: head, navigation, what is wrong, and how it stands with the net.

use maud::{DOCTYPE, Markup, html};
use stafett_client_core::answer::Account;
use stafett_words::messages::Language;

use crate::border::{Home, Method, Reply};
use crate::form::{self, prefix};
use crate::table::Sheet;
use crate::view::View;

/// Places in the navigation: path, key, and whom it is for (nobody named: everybody).
const PLACES: &[(&str, &str, &[Account])] = &[
    ("/", "nav.today", &[]),
    ("/logs", "nav.logs", &[Account::Employee, Account::Leader]),
    ("/acting", "nav.acting", &[Account::Employee, Account::Leader]),
    ("/logs", "nav.children", &[Account::Guardian, Account::Child]),
    ("/consents", "nav.consents", &[Account::Guardian, Account::Child]),
    ("/batons", "nav.batons", &[Account::Employee, Account::Leader]),
    ("/unit", "nav.unit", &[Account::Leader]),
    ("/municipality", "nav.municipality", &[Account::Administrator]),
    ("/me", "nav.me", &[]),
];

/// The whole document.
pub fn page(view: &View<'_>, sheet: Sheet, status: u16) -> Reply {
    let Sheet { title, body } = sheet;
    let name = view.say(title);
    // Where a form was refused, the title says so first: it is what a screen reader says first.
    let refused = view.trouble.as_ref().map(|_| view.say("shell.wrong")).unwrap_or_default();
    let title = [refused, name, "Stafett".to_owned()].into_iter().filter(|part| !part.is_empty());
    let title = title.collect::<Vec<_>>().join(" – ");
    let html = html! {
        (DOCTYPE)
        html lang=(code(view.ask.language)) translate="no" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="stylesheet" href="/style.css";
                script src="/shell.js" defer {}
            }
            body data-live=[(view.status.home == Home::Open && view.ask.method == Method::Get).then_some("on")] data-news=(view.say("shell.news")) {
                a.skip href="#main" { (view.say("shell.skip")) }
                (header(view))
                main #main tabindex="-1" {
                    (wrong(view, &body))
                    (body)
                }
                (footer(view))
            }
        }
    };
    Reply::Page { title, html: html.into_string(), status }
}

fn header(view: &View<'_>) -> Markup {
    let open = view.status.home == Home::Open;
    let account = view.account();
    let offered = |who: &&[Account]| who.is_empty() || account.is_some_and(|one| who.contains(&one));
    let here = |path: &str| {
        let own = view.ask.path == path;
        let below = path != "/" && view.ask.path.starts_with(&format!("{path}/"));
        let log = path == "/logs" && view.ask.path.starts_with("/log");
        (own || below || log).then_some("page")
    };
    html! {
        header.top {
            a.brand href="/" { span.mark aria-hidden="true" {} "Stafett" }
            @if open {
                nav aria-label=(view.say("shell.nav")) {
                    ul {
                        @for (path, key, who) in PLACES {
                            @if offered(who) { li { a href=(path) aria-current=[here(path)] { (view.say(key)) } } }
                        }
                    }
                }
                div.whoami {
                    @if let Some(me) = view.me() { span { (view.to.text(&me.name)) } }
                    (form::button("/lock", &[], html! { button.quiet type="submit" accesskey="l" { (view.say("shell.lock")) } }))
                }
            }
        }
    }
}

/// What is wrong with the form that was sent: focus goes here.
fn wrong(view: &View<'_>, body: &Markup) -> Markup {
    let Some(trouble) = &view.trouble else { return html! {} };
    let prefix = prefix(view.call.path);
    // The form may be gone meanwhile: what was typed into it is not.
    let gone = !body.0.contains(&format!("action=\"{}\"", view.call.path));
    let typed = view.call.written().filter(|_| gone).collect::<Vec<_>>();
    html! {
        section.alert.bad #wrong tabindex="-1" role="alert" aria-labelledby="wrong-title" {
            h2 #wrong-title { span.sign aria-hidden="true" { "!" } (view.say("shell.wrong")) }
            @if let Some(said) = &trouble.said { p { (said) } }
            @if !trouble.fields.is_empty() {
                ul { @for (field, key) in &trouble.fields { li { a href={ "#" (prefix) "-" (field) } { (view.say(key)) } } } }
            }
            @if !typed.is_empty() {
                p { (view.say("shell.typed")) }
                @for text in &typed { p.written { (view.to.text(text)) } }
            } @else {
                p.kept { (view.say("shell.kept")) }
            }
        }
    }
}

fn footer(view: &View<'_>) -> Markup {
    let queued = view.me().map_or(0, |me| me.queued);
    let open = view.status.home == Home::Open;
    let line = match (view.status.online, queued) {
        (true, 0) => view.say("net.all-sent"),
        (true, many) => view.many("net.sending", many),
        (false, 0) => view.say("net.away"),
        (false, many) => view.many("net.waiting", many),
    };
    html! {
        footer.bottom {
            @if open {
                p.net.away[!view.status.online] #net role="status" {
                    span.dot aria-hidden="true" {} (line)
                }
            }
            form.languages method="post" action="/language" aria-label=(view.say("shell.language")) {
                @for (word, language, name) in LANGUAGES {
                    button.quiet type="submit" name="language" value=(word) lang=(word)
                        aria-pressed=(if view.ask.language == language { "true" } else { "false" }) { (name) }
                }
            }
        }
    }
}

/// As browsers know them, and as their readers call them.
pub const LANGUAGES: [(&str, Language, &str); 3] =
    [("nb", Language::Bokmaal, "Bokmål"), ("nn", Language::Nynorsk, "Nynorsk"), ("en", Language::English, "English")];

fn code(language: Language) -> &'static str {
    LANGUAGES.iter().find(|(_, one, _)| *one == language).map_or("nb", |(word, _, _)| word)
}
