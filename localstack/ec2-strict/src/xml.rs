//! Writes XML as EC2 answers with it: elements and text, no attributes but the namespace.

use std::fmt::Display;

/// A piece of a document.
#[derive(Default)]
pub(crate) struct Xml(String);

impl Xml {
    pub(crate) fn text(&mut self, name: &str, text: impl Display) {
        self.0.push_str(&format!("<{name}>"));
        for c in text.to_string().chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                c => self.0.push(c),
            }
        }
        self.0.push_str(&format!("</{name}>"));
    }

    pub(crate) fn text_if_any(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.text(name, text);
        }
    }

    pub(crate) fn within(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.0.push_str(&format!("<{name}>"));
        content(self);
        self.0.push_str(&format!("</{name}>"));
    }

    /// A list as EC2 writes it: an `item` each.
    pub(crate) fn list<T>(&mut self, name: &str, items: impl IntoIterator<Item = T>, each: impl Fn(&mut Self, T)) {
        self.within(name, |xml| items.into_iter().for_each(|item| xml.within("item", |xml| each(xml, item))));
    }

    pub(crate) fn document(self) -> String {
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", self.0)
    }

    /// The answer of an action.
    pub(crate) fn response(self, action: &str, request_id: &str) -> String {
        let Self(content) = self;
        let root = format!("{action}Response");
        Self(format!(
            "<{root} xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>{request_id}</requestId>{content}</{root}>"
        ))
        .document()
    }
}
