//! Forms: fields with their labels, what was typed before, and what is wrong with it.

use maud::{Markup, html};
use stafett_words::reader::printable;

use crate::view::View;

/// A form that is sent to one path.
pub struct Fields<'a> {
    view: &'a View<'a>,
    action: String,
    /// Before the names of its fields, so that two forms of a page differ.
    prefix: String,
}

/// One of several things to choose.
pub struct Choice {
    pub value: String,
    pub label: String,
    pub about: Option<String>,
}

impl Choice {
    pub fn new(value: impl Into<String>, label: impl Into<String>) -> Self {
        Self { value: value.into(), label: label.into(), about: None }
    }

    pub fn about(self, about: impl Into<String>) -> Self {
        Self { about: Some(about.into()), ..self }
    }
}

impl<'a> Fields<'a> {
    pub fn new(view: &'a View<'a>, action: impl Into<String>) -> Self {
        let action = action.into();
        let prefix = prefix(&action);
        Self { view, action, prefix }
    }

    /// Whether it is this form that was sent and refused.
    fn refused(&self) -> bool {
        self.view.trouble.is_some() && self.view.call.path == self.action
    }

    /// What was typed: in the form that was refused, or kept from before.
    fn typed(&self, name: &str) -> String {
        if self.refused() {
            return self.view.call.raw(name).to_owned();
        }
        let draft = self.view.drafts.get(&self.action);
        draft.and_then(|draft| draft.fields.get(name)).cloned().unwrap_or_default()
    }

    fn wrong(&self, name: &str) -> Option<&'static str> {
        let trouble = self.view.trouble.as_ref().filter(|_| self.refused())?;
        trouble.fields.iter().find(|(field, _)| *field == name).map(|(_, key)| *key)
    }

    fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// Label, hint and fault around an input; `input` gets its id and what describes it.
    fn around(&self, name: &str, label: &str, input: impl Fn(&str, &str, bool) -> Markup) -> Markup {
        let id = self.id(name);
        let hint = self.view.to.messages.find(&format!("page.{label}.hint"));
        let wrong = self.wrong(name);
        let hint_id = hint.map(|_| format!("{id}-hint"));
        let wrong_id = wrong.map(|_| format!("{id}-wrong"));
        let described = [hint_id.clone(), wrong_id.clone()].into_iter().flatten().collect::<Vec<_>>().join(" ");
        html! {
            div.field.wrong[wrong.is_some()] {
                label for=(id) { (self.view.say(label)) }
                @if let Some(hint) = hint { p.hint id=[hint_id] { (hint) } }
                @if let Some(wrong) = wrong { p.fault id=[wrong_id] { (self.view.say(wrong)) } }
                (input(&id, &described, wrong.is_some()))
            }
        }
    }

    fn input(&self, kind: &str, name: &str, label: &str, value: &str, complete: &str) -> Markup {
        self.around(name, label, |id, described, wrong| {
            html! {
                input type=(kind) id=(id) name=(name) value=(value) autocomplete=(complete) spellcheck="false"
                    aria-describedby=[some(described)] aria-invalid=[wrong.then_some("true")];
            }
        })
    }

    /// One line.
    pub fn text(&self, name: &str, label: &str) -> Markup {
        self.input("text", name, label, &self.typed(name), "off")
    }

    /// One line with something in it already.
    pub fn text_of(&self, name: &str, label: &str, value: &str) -> Markup {
        let typed = self.typed(name);
        let value = if typed.is_empty() && !self.refused() { printable(value) } else { typed };
        self.input("text", name, label, &value, "off")
    }

    pub fn date(&self, name: &str, label: &str) -> Markup {
        self.input("date", name, label, &self.typed(name), "off")
    }

    /// What is secret is asked for anew each time.
    pub fn secret(&self, name: &str, label: &str, complete: &str) -> Markup {
        self.input("password", name, label, "", complete)
    }

    /// Several lines.
    pub fn area(&self, name: &str, label: &str) -> Markup {
        self.area_of(name, label, "")
    }

    /// Several lines with something in them already.
    pub fn area_of(&self, name: &str, label: &str, value: &str) -> Markup {
        let typed = self.typed(name);
        let given = printable(value);
        let value = if typed.is_empty() && !self.refused() { &given } else { &typed };
        self.around(name, label, |id, described, wrong| {
            html! {
                textarea id=(id) name=(name) rows="4" autocomplete="off" spellcheck="false"
                    aria-describedby=[some(described)] aria-invalid=[wrong.then_some("true")] { "\n" (value) }
            }
        })
    }

    pub fn file(&self, name: &str, label: &str) -> Markup {
        self.around(name, label, |id, described, wrong| {
            html! {
                input type="file" id=(id) name=(name) accept="application/pdf,.pdf"
                    aria-describedby=[some(described)] aria-invalid=[wrong.then_some("true")];
            }
        })
    }

    fn group(&self, kind: &str, name: &str, label: &str, choices: &[Choice], chosen: &[String]) -> Markup {
        let id = self.id(name);
        let wrong = self.wrong(name);
        let hint = self.view.to.messages.find(&format!("page.{label}.hint"));
        html! {
            fieldset.field.wrong[wrong.is_some()] id=(id) tabindex="-1" {
                legend { (self.view.say(label)) }
                @if let Some(hint) = hint { p.hint { (hint) } }
                @if let Some(wrong) = wrong { p.fault { (self.view.say(wrong)) } }
                @for (at, Choice { value, label, about }) in choices.iter().enumerate() {
                    @let own = format!("{id}-{at}");
                    div.choice {
                        input type=(kind) id=(own) name=(name) value=(value) checked[chosen.contains(value)];
                        label for=(own) {
                            span { (label) }
                            @if let Some(about) = about { span.about { (about) } }
                        }
                    }
                }
            }
        }
    }

    /// One of them; `first`: chosen where nobody has chosen yet.
    pub fn radios(&self, name: &str, label: &str, choices: &[Choice], first: Option<&str>) -> Markup {
        let typed = self.typed(name);
        let chosen = if typed.is_empty() && !self.refused() { first.unwrap_or_default().to_owned() } else { typed };
        self.group("radio", name, label, choices, &[chosen])
    }

    /// Any of them; `first`: ticked where nobody has chosen yet.
    pub fn checks(&self, name: &str, label: &str, choices: &[Choice], first: &[String]) -> Markup {
        let typed = if self.refused() { self.view.call.every(name) } else { first.to_vec() };
        self.group("checkbox", name, label, choices, &typed)
    }

    /// The whole form, with what a draft was saved as.
    pub fn form(&self, inner: Markup, press: Markup) -> Markup {
        self.whole(inner, press, None, true)
    }

    /// The same, with a file in it.
    pub fn with_file(&self, inner: Markup, press: Markup) -> Markup {
        self.whole(inner, press, Some("multipart/form-data"), true)
    }

    /// The same, for what is secret: nothing of it is kept as a draft.
    pub fn secretly(&self, inner: Markup, press: Markup) -> Markup {
        self.whole(inner, press, None, false)
    }

    fn whole(&self, inner: Markup, press: Markup, coded: Option<&str>, kept: bool) -> Markup {
        let saved = self.view.drafts.get(&self.action).and_then(|draft| draft.saved.as_ref());
        let kept = kept && self.view.status.keeps_drafts;
        html! {
            form method="post" action=(self.action) enctype=[coded] autocomplete="off" novalidate data-draft[kept] {
                (inner)
                div.press {
                    (press)
                    @if kept && coded.is_none() {
                        // Without the script nobody saves by itself.
                        noscript {
                            button.quiet type="submit" name="draft-of" value=(self.action) formaction="/draft" {
                                (self.view.say("draft.save"))
                            }
                        }
                    }
                }
                p.saved role="status" {
                    @if let Some(at) = saved { (self.view.with("draft.saved", &[("at", &self.view.to.time(at))])) }
                }
            }
        }
    }
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// Letters and digits of the last steps of a path.
pub fn prefix(action: &str) -> String {
    action.trim_matches('/').replace('/', "-")
}

/// A button that sends its form.
pub fn press(view: &View<'_>, key: &str) -> Markup {
    html! { button.primary type="submit" { (view.say(key)) } }
}

/// The same, for what is not the first thing to do.
pub fn quiet(view: &View<'_>, key: &str) -> Markup {
    html! { button.quiet type="submit" { (view.say(key)) } }
}

/// The same, for what is as good an answer as the first.
pub fn second(view: &View<'_>, key: &str) -> Markup {
    html! { button.second type="submit" { (view.say(key)) } }
}

/// The same, for what cannot be undone.
pub fn grave(view: &View<'_>, key: &str) -> Markup {
    html! { button.grave type="submit" { (view.say(key)) } }
}

/// A form that is nothing but its button.
pub fn button(action: &str, hidden: &[(&str, &str)], press: Markup) -> Markup {
    html! {
        form.inline method="post" action=(action) {
            @for (name, value) in hidden { input type="hidden" name=(name) value=(value); }
            (press)
        }
    }
}
