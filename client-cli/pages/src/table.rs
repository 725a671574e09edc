//! The table of all places, and of all forms: which commands each needs, and which page it becomes.

use maud::Markup;
use stafett_client_core::answer::Answer;
use stafett_client_core::client::input::{Command, Problem};
use stafett_words::messages::Messages;
use stafett_words::names::Names;
use stafett_words::reader::Reader;

use crate::acts::FORMS;
use crate::answers::Answers;
use crate::border::{Ask, Drafts, Home, HostWish, Method, Reply, Status};
use crate::pages::{self, PLACES};
use crate::shell;
use crate::view::{Call, Trouble, View};

/// A page, before the shell is put around it.
pub struct Sheet {
    /// Key of the title; never a name.
    pub title: &'static str,
    pub body: Markup,
}

/// What a form asks for.
pub type Does = fn(&Call) -> Result<Deed, Trouble>;
/// What only the first answers tell to ask for.
pub type Next = fn(&Call, &Answers) -> Vec<Command>;
/// What a page shows.
pub type Shows = fn(&View, &Answers) -> Result<Sheet, Problem>;
/// Where a form leads when it was done.
pub type Leads = fn(&View, &Answers) -> Result<Then, Problem>;

/// A page that can be linked to.
pub struct Place {
    pub at: &'static str,
    pub wanted: fn(&Call) -> Vec<Command>,
    /// What only the first answers tell to ask for.
    pub next: Next,
    pub show: Shows,
}

/// What a form that was done leads to.
pub enum Then {
    See(String),
    /// Shown once, because nothing tells it again.
    Show(Sheet),
    /// No bytes: those that came beside the answer.
    File {
        name: String,
        mime: &'static str,
        bytes: Option<Vec<u8>>,
    },
}

/// What a form asks for.
pub enum Deed {
    Core(Vec<Command>),
    Host(HostWish),
}

/// A form that can be sent.
pub struct Form {
    /// Where it is sent.
    pub at: &'static str,
    /// The page that it stands on, and that is shown again when it is refused.
    pub page: &'static str,
    /// Everything that `does` reads.
    pub fields: &'static [&'static str],
    pub does: Does,
    /// What only the first answers tell to ask for.
    pub next: Next,
    pub then: Leads,
}

/// Every place that can be linked to.
pub fn places() -> impl Iterator<Item = &'static str> {
    PLACES.iter().map(|place| place.at)
}

/// Every form: where it is sent, the page that it stands on, and the fields that it has.
pub fn forms() -> impl Iterator<Item = (&'static str, &'static str, &'static [&'static str])> {
    FORMS.iter().map(|form| (form.at, form.page, form.fields))
}

fn place_at(path: &str) -> Option<(&'static Place, Call<'_>)> {
    PLACES.iter().find_map(|place| Call::matching(place.at, path).map(|call| (place, call)))
}

fn form_at(path: &str) -> Option<(&'static Form, Call<'_>)> {
    FORMS.iter().find_map(|form| Call::matching(form.at, path).map(|call| (form, call)))
}

/// What was asked for, as far as the tables know it.
enum Found<'a> {
    Place(&'static Place, Call<'a>),
    Form(&'static Form, Call<'a>),
    Nothing,
}

fn found(ask: &Ask) -> Found<'_> {
    let place = || place_at(&ask.path).map(|(place, call)| Found::Place(place, call.asked(ask)));
    let form = || form_at(&ask.path).map(|(form, call)| Found::Form(form, call.asked(ask)));
    match ask.method {
        Method::Get => place(),
        Method::Post => form(),
    }
    .unwrap_or(Found::Nothing)
}

fn page_of(form: &Form) -> Option<&'static Place> {
    PLACES.iter().find(|place| place.at == form.page)
}

/// What must be asked of the core before anything can be shown. For a form: what does as it says.
pub fn wanted(ask: &Ask) -> Vec<Command> {
    match found(ask) {
        Found::Place(place, call) => (place.wanted)(&call),
        Found::Form(form, call) => match (form.does)(&call) {
            Ok(Deed::Core(commands)) => commands,
            Ok(Deed::Host(_)) => vec![],
            Err(_) => page_of(form).map(|page| (page.wanted)(&call)).unwrap_or_default(),
        },
        Found::Nothing => vec![],
    }
}

/// What only the host can do about it; none where the core is asked, or the form is not filled in.
pub fn asked_of_host(ask: &Ask) -> Option<HostWish> {
    match found(ask) {
        Found::Form(form, call) => match (form.does)(&call) {
            Ok(Deed::Host(wish)) => Some(wish),
            _ => None,
        },
        _ => None,
    }
}

/// What the person sees. `answers` stand in the order of what was wanted.
pub fn show(
    ask: &Ask,
    answers: &[Result<Answer, Problem>],
    status: &Status,
    drafts: &Drafts,
    words: &Messages,
) -> Reply {
    let mut names = Names::default();
    answers.iter().flatten().for_each(|answer| names.learn(answer));
    let to = Reader::new(words, &names, ask.zone.clone());
    let found = found(ask);
    if let Some(reply) = outside(ask, &found, status) {
        return reply;
    }
    match found {
        Found::Place(place, call) => {
            let view = View::new(ask, call, status, drafts, &to);
            sheet(place, &view, answers, 200)
        }
        Found::Form(form, call) => sent(form, View::new(ask, call, status, drafts, &to), answers),
        Found::Nothing => {
            let view = View::new(ask, Call::nowhere(ask), status, drafts, &to);
            shell::page(&view, pages::nothing_here(&view), 404)
        }
    }
}

/// Where nobody is home, there is only the start; where the home is locked, only its door.
fn outside(ask: &Ask, found: &Found<'_>, status: &Status) -> Option<Reply> {
    let (door, forms): (&str, &[&str]) = match status.home {
        Home::Open => return None,
        Home::None => ("/start", &["/start", "/start/device", "/language", "/homes"]),
        Home::Locked => ("/unlock", &["/unlock", "/language", "/homes"]),
    };
    let here = match found {
        Found::Place(place, _) => place.at == door || place.at == "/start/device" && status.home == Home::None,
        Found::Form(form, _) => forms.contains(&form.at),
        Found::Nothing => false,
    };
    (!here && ask.path != door).then(|| Reply::See(door.to_owned()))
}

fn sheet(place: &Place, view: &View<'_>, answers: &[Result<Answer, Problem>], status: u16) -> Reply {
    let next = (place.next)(&view.call, &Answers(answers));
    if !next.is_empty() && answers.len() <= (place.wanted)(&view.call).len() {
        return Reply::More(next);
    }
    match (place.show)(view, &Answers(answers)) {
        Ok(sheet) => shell::page(view, sheet, status),
        Err(problem) => shell::page(view, pages::refused(view, &problem), 409),
    }
}

fn sent(form: &'static Form, mut view: View<'_>, answers: &[Result<Answer, Problem>]) -> Reply {
    let commands = match (form.does)(&view.call) {
        Ok(Deed::Core(commands)) => commands.len(),
        Ok(Deed::Host(_)) => 1,
        Err(trouble) => {
            view.trouble = Some(trouble);
            return again(form, view, answers);
        }
    };
    let (done, rest) = answers.split_at_checked(commands).unwrap_or((answers, &[]));
    if let Some(problem) = done.iter().find_map(|answer| answer.as_ref().err()) {
        view.trouble = Some(Trouble::of_problem(&view, problem));
        return again(form, view, rest);
    }
    let next = (form.next)(&view.call, &Answers(done));
    if rest.is_empty() && !next.is_empty() {
        return Reply::More(next);
    }
    match (form.then)(&view, &Answers(done)) {
        Ok(Then::See(path)) => Reply::See(path),
        Ok(Then::Show(sheet)) => shell::page(&view, sheet, 200),
        Ok(Then::File { name, mime, bytes }) => Reply::File { name, mime, bytes },
        Err(problem) => shell::page(&view, pages::refused(&view, &problem), 409),
    }
}

/// The page of a form once more, with what is wrong and with everything that was typed.
fn again(form: &'static Form, view: View<'_>, answers: &[Result<Answer, Problem>]) -> Reply {
    let Some(page) = page_of(form) else {
        return shell::page(&view, pages::nothing_here(&view), 404);
    };
    let wanted = (page.wanted)(&view.call);
    let open = view.status.home == Home::Open;
    if answers.is_empty() && !wanted.is_empty() && open {
        return Reply::More(wanted);
    }
    sheet(page, &view, answers, 422)
}
