//! The `filter` of a list: an expression that says which items are meant.

use regex::Regex;
use serde_json::Value;

use crate::schema::Object;

/// Deeper parentheses are refused.
const DEPTH: usize = 20;

/// A filter that was understood.
pub(crate) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    Is { field: String, test: Test },
}

pub(crate) enum Test {
    Equals(String),
    Differs(String),
    /// `eq` and `ne`: the whole text.
    Matches(Regex),
    MatchesNot(Regex),
    /// `:`, without case; `*` is any value.
    Has(String),
    Below(f64),
    Above(f64),
    AtMost(f64),
    AtLeast(f64),
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Filter {
    /// Nothing where the text isn't a filter.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut reader = Reader { rest: text, depth: 0 };
        let filter = reader.any()?;
        reader.skip();
        reader.rest.is_empty().then_some(filter)
    }

    pub(crate) fn takes(&self, item: &Object) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.takes(item)),
            Self::Any(filters) => filters.iter().any(|filter| filter.takes(item)),
            Self::Not(filter) => !filter.takes(item),
            Self::Is { field, test } => {
                let mut names = field.split('.');
                let first = names.next().and_then(|name| item.get(name));
                test.takes(names.fold(first.unwrap_or(&Value::Null), |value, name| &value[name]))
            }
        }
    }
}

impl Test {
    fn takes(&self, value: &Value) -> bool {
        let texts: Vec<String> = match value {
            Value::Null => Vec::new(),
            Value::Array(items) => items.iter().map(text).collect(),
            value => vec![text(value)],
        };
        let number = value.as_f64();
        match self {
            Self::Equals(wanted) => texts.contains(wanted),
            Self::Differs(wanted) => !texts.contains(wanted),
            Self::Matches(wanted) => texts.iter().any(|text| wanted.is_match(text)),
            Self::MatchesNot(wanted) => !texts.iter().any(|text| wanted.is_match(text)),
            Self::Has(wanted) if wanted == "*" => !texts.is_empty(),
            Self::Has(wanted) => texts.iter().any(|text| text.to_lowercase().contains(&wanted.to_lowercase())),
            Self::Below(limit) => number.is_some_and(|number| number < *limit),
            Self::Above(limit) => number.is_some_and(|number| number > *limit),
            Self::AtMost(limit) => number.is_some_and(|number| number <= *limit),
            Self::AtLeast(limit) => number.is_some_and(|number| number >= *limit),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl<'a> Reader<'a> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes this text, if it comes next.
    fn take(&mut self, text: &str) -> bool {
        self.skip();
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn word(&mut self, word: &str) -> bool {
        self.skip();
        let ends = self.rest.strip_prefix(word).is_some_and(|rest| rest.starts_with([' ', '(']));
        ends && self.take(word)
    }

    fn any(&mut self) -> Option<Filter> {
        let mut filters = vec![self.all()?];
        while self.word("OR") {
            filters.push(self.all()?);
        }
        Some(Filter::Any(filters))
    }

    fn all(&mut self) -> Option<Filter> {
        let mut filters = vec![self.one()?];
        loop {
            let joined = self.word("AND");
            self.skip();
            let more = !(self.rest.is_empty() || self.rest.starts_with([')']) || self.rest.starts_with("OR "));
            if !more {
                return (!joined).then_some(Filter::All(filters));
            }
            filters.push(self.one()?);
        }
    }

    fn one(&mut self) -> Option<Filter> {
        if self.word("NOT") || self.take("-") {
            return Some(Filter::Not(Box::new(self.term()?)));
        }
        self.term()
    }

    fn term(&mut self) -> Option<Filter> {
        if !self.take("(") {
            return self.comparison();
        }
        self.depth += 1;
        let filter = (self.depth <= DEPTH).then(|| self.any())??;
        self.depth -= 1;
        self.take(")").then_some(filter)
    }

    fn comparison(&mut self) -> Option<Filter> {
        self.skip();
        let end = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))?;
        let (field, rest) = self.rest.split_at(end);
        self.rest = rest;
        let test = self.test()?;
        (!field.is_empty()).then(|| Filter::Is { field: field.to_owned(), test })
    }

    fn test(&mut self) -> Option<Test> {
        if self.word("eq") {
            return Some(Test::Matches(whole(&self.value()?)?));
        }
        if self.word("ne") {
            return Some(Test::MatchesNot(whole(&self.value()?)?));
        }
        let operator = ["!=", ">=", "<=", "=", ">", "<", ":"].into_iter().find(|operator| self.take(operator))?;
        let value = self.value()?;
        let number = value.parse::<f64>().ok();
        Some(match operator {
            "=" => Test::Equals(value),
            "!=" => Test::Differs(value),
            ":" => Test::Has(value),
            ">=" => Test::AtLeast(number?),
            "<=" => Test::AtMost(number?),
            ">" => Test::Above(number?),
            _ => Test::Below(number?),
        })
    }

    /// Between quotes, or up to a blank or the parenthesis that closes.
    fn value(&mut self) -> Option<String> {
        self.skip();
        let quote = self.rest.chars().next()?;
        if quote == '"' || quote == '\'' {
            let (value, rest) = self.rest[1..].split_once(quote)?;
            self.rest = rest;
            return Some(value.to_owned());
        }
        let mut open = 0;
        let end = self.rest.find(|c: char| {
            match c {
                '(' => open += 1,
                ')' => open -= 1,
                _ => {}
            }
            open < 0 || c.is_whitespace()
        });
        let (value, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        (!value.is_empty()).then(|| value.to_owned())
    }
}

fn whole(pattern: &str) -> Option<Regex> {
    Regex::new(&format!("^(?:{pattern})$")).ok()
}
