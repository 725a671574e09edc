//! A page as a browser reads it.

use std::collections::BTreeSet;

use html5ever::tendril::TendrilSink;
use html5ever::{ParseOpts, parse_document};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

/// A form, and the names of its fields with what stands in them.
#[derive(Debug, Default)]
pub struct Form {
    pub actions: Vec<String>,
    pub fields: BTreeSet<String>,
}

/// What a page is made of.
#[derive(Debug, Default)]
pub struct Page {
    pub errors: Vec<String>,
    pub title: String,
    /// What is read, without codes and numbers to be copied.
    pub text: String,
    /// Everything that stands between tags.
    pub all: String,
    pub links: Vec<String>,
    pub forms: Vec<Form>,
    pub ids: Vec<String>,
    /// Ids that something refers to.
    pub referred: Vec<String>,
    pub elements: BTreeSet<String>,
    pub heads: usize,
    /// Fields that no label names.
    pub unnamed: Vec<String>,
}

pub fn read(html: &str) -> Page {
    let dom = parse_document(RcDom::default(), ParseOpts::default()).one(html);
    let mut page = Page { errors: dom.errors.borrow().iter().map(|e| e.to_string()).collect(), ..Page::default() };
    page.walk(&dom.document, false, false);
    let labelled: BTreeSet<String> = page.referred.iter().cloned().collect();
    page.unnamed.retain(|id| !labelled.contains(id));
    page
}

impl Page {
    fn walk(&mut self, node: &Handle, copied: bool, title: bool) {
        let (mut copied, mut title) = (copied, title);
        match &node.data {
            NodeData::Text { contents } => {
                let text = contents.borrow().to_string();
                self.all.push_str(&text);
                if title {
                    self.title.push_str(&text);
                } else if !copied {
                    self.text.push_str(&text);
                    self.text.push(' ');
                }
            }
            NodeData::Element { name, attrs, .. } => {
                let tag = name.local.to_string();
                let attrs = attrs.borrow();
                let value = |wanted: &str| {
                    attrs.iter().find(|attr| &*attr.name.local == wanted).map(|attr| attr.value.to_string())
                };
                self.ids.extend(value("id"));
                let refers = ["for", "aria-labelledby", "aria-describedby"].into_iter().filter_map(value);
                self.referred.extend(refers.flat_map(|ids| ids.split(' ').map(str::to_owned).collect::<Vec<_>>()));
                match tag.as_str() {
                    "a" => self.links.extend(value("href")),
                    "form" => {
                        self.forms.push(Form { actions: value("action").into_iter().collect(), ..Form::default() })
                    }
                    "input" | "textarea" | "button" => {
                        let form = self.forms.last_mut().expect("a field outside a form");
                        // Where drafts go is the host's.
                        let draft = value("formaction").as_deref() == Some("/draft");
                        form.fields.extend(value("name").filter(|_| !draft));
                        form.actions.extend(value("formaction").filter(|_| !draft));
                        let hidden = value("type").as_deref() == Some("hidden");
                        if tag != "button" && !hidden {
                            self.unnamed.push(value("id").unwrap_or_default());
                        }
                    }
                    "h1" => self.heads += 1,
                    _ => {}
                }
                let class = value("class").unwrap_or_default();
                copied |= ["code", "number"].contains(&class.as_str());
                title = tag == "title" || title;
                self.elements.insert(tag);
            }
            _ => {}
        }
        for child in node.children.borrow().iter() {
            self.walk(child, copied, title);
        }
    }
}
