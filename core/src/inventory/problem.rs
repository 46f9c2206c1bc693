//! What is wrong with an inventory, where, and what to do: what people and programs get to see.

use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode};

/// The kind of a problem; its text is the diagnostic's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// Not YAML, or nothing at all.
    Syntax,
    /// Nested too deeply, too large, or growing too much through aliases.
    TooMuch,
    /// A key that stands twice in one mapping.
    DuplicateKey,
    /// A key that does not belong there.
    UnknownKey,
    /// A word of the vocabulary, or a name of the inventory, that there isn't.
    UnknownWord,
    /// A key that must be there.
    Missing,
    /// A list where a text should be, a number where a text should be …
    WrongType,
    /// The right type, but nothing that it can mean.
    BadValue,
    /// Two places that contradict each other.
    Conflict,
    /// A file that the inventory names can't be read.
    File,
    /// A warning: an address range with host bits.
    HostBits,
    /// A warning: its last day is past.
    Expired,
    /// A warning: something that is left to a default, or has no effect.
    Doubtful,
}

impl Code {
    /// The text, stable for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "inventory::syntax",
            Self::TooMuch => "inventory::too-much",
            Self::DuplicateKey => "inventory::duplicate-key",
            Self::UnknownKey => "inventory::unknown-key",
            Self::UnknownWord => "inventory::unknown-word",
            Self::Missing => "inventory::missing",
            Self::WrongType => "inventory::wrong-type",
            Self::BadValue => "inventory::bad-value",
            Self::Conflict => "inventory::conflict",
            Self::File => "inventory::file",
            Self::HostBits => "inventory::host-bits",
            Self::Expired => "inventory::expired",
            Self::Doubtful => "inventory::doubtful",
        }
    }
}

/// One error or warning, with the place that it is about.
#[derive(Debug, Clone)]
pub struct Problem {
    pub(crate) code: Code,
    pub(crate) severity: Severity,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    pub(crate) spot: Spot,
    pub(crate) also: Vec<Spot>,
}

impl Problem {
    /// The kind.
    pub fn kind(&self) -> Code {
        self.code
    }

    /// Whether it is a warning: the inventory can be used.
    pub fn is_warning(&self) -> bool {
        self.severity != Severity::Error
    }

    /// What is wrong; one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The file, as the user named it.
    pub fn path(&self) -> &str {
        self.spot.text.name()
    }

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.spot.line
    }

    /// The column in characters, from 1.
    pub fn column(&self) -> usize {
        self.spot.column
    }

    /// The way to the node within the file, such as `clusters.prod.groups.etcd.roles[0]`; empty at the top.
    pub fn field(&self) -> &str {
        &self.spot.note
    }

    /// The whole line that it is on.
    pub fn source_line(&self) -> &str {
        self.spot.text.inner().lines().nth(self.spot.line.saturating_sub(1)).unwrap_or_default()
    }

    /// The text that is underlined.
    pub fn underlined(&self) -> &str {
        self.spot.text.inner().get(self.spot.start..self.spot.end).unwrap_or_default()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code.as_str()))
    }

    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.spot.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let others = self.also.iter().filter(|spot| self.spot.is_beside(spot)).map(|spot| spot.label(false));
        Some(Box::new(std::iter::once(self.spot.label(true)).chain(others)))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        let others = self.also.iter().filter(|spot| !self.spot.is_beside(spot));
        Some(Box::new(others.map(|spot| spot as &dyn Diagnostic)))
    }
}

/// A place in a file, with a note.
#[derive(Debug, Clone)]
pub(crate) struct Spot {
    pub text: Arc<NamedSource<String>>,
    pub start: usize,
    pub end: usize,
    pub line: usize,
    pub column: usize,
    pub note: String,
}

impl Spot {
    fn is_beside(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.text, &other.text)
    }

    fn label(&self, primary: bool) -> LabeledSpan {
        let note = (!self.note.is_empty()).then(|| self.note.clone());
        let span = self.start..self.end;
        if primary { LabeledSpan::new_primary_with_span(note, span) } else { LabeledSpan::new_with_span(note, span) }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.note)
    }
}

impl std::error::Error for Spot {}

impl Diagnostic for Spot {
    fn severity(&self) -> Option<Severity> {
        Some(Severity::Advice)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(None, self.start..self.end))))
    }
}

/// All that is wrong, in the order of the files and lines; at least one error, and the warnings found beside it.
#[derive(Debug, Clone)]
pub struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// How many errors, without warnings.
    pub fn errors(&self) -> usize {
        self.iter().filter(|problem| !problem.is_warning()).count()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errors() {
            1 => f.write_str("the inventory has an error"),
            n => write!(f, "the inventory has {n} errors"),
        }
    }
}

impl std::error::Error for Problems {}

impl Diagnostic for Problems {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.iter().map(|problem| problem as &dyn Diagnostic)))
    }
}
