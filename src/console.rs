//! What stderr is told beside logs and bars: lines for people, or an object a line for programs.

use std::io::{IsTerminal, Write};

use serde_json::{Map, Value, json};

use crate::args::{Global, LogFormat};
use crate::report::escape_lines;
use crate::report::wrap::{columns_of_stderr, wrapped};

/// How stderr is written to.
#[derive(Debug, Clone, Copy)]
pub struct Console {
    /// Only errors.
    pub quiet: bool,
    /// For people or for programs.
    pub format: LogFormat,
    /// Whether bars may be drawn: a person looks at it, and no log lines come between.
    pub bars: bool,
}

impl Console {
    /// As the flags and the terminal say.
    pub fn new(global: &Global) -> Self {
        let format = global.log_format;
        let logs = format == LogFormat::Json || global.verbose > 0 || std::env::var_os("RUST_LOG").is_some();
        Self { quiet: global.quiet, format, bars: !global.quiet && !logs && std::io::stderr().is_terminal() }
    }

    /// Tells it, unless only errors are wanted and it is none. A reader that went away is no error.
    pub fn tell(self, notice: &Notice) {
        if self.quiet && matches!(notice.level, Level::Warn | Level::Info) {
            return;
        }
        let text = match self.format {
            LogFormat::Text => notice.text(columns_of_stderr()),
            LogFormat::Json => format!("{}\n", notice.object(&jiff::Timestamp::now().to_string())),
        };
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    /// Tells all of them.
    pub fn tell_all(self, notices: &[Notice]) {
        notices.iter().for_each(|notice| self.tell(notice));
    }
}

/// How grave it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Error,
    Outcome,
    Warn,
    Info,
}

impl Level {
    /// The word that log lines have.
    fn as_str(self) -> &'static str {
        match self {
            Self::Error | Self::Outcome => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
        }
    }

    /// What a line for people begins with.
    fn head(self) -> &'static str {
        match self {
            Self::Error => "error: ",
            Self::Warn => "warning: ",
            Self::Outcome | Self::Info => "",
        }
    }
}

/// One thing that is told.
#[derive(Debug)]
pub struct Notice {
    level: Level,
    /// What it is about, stable for programs.
    code: &'static str,
    message: String,
    help: Option<String>,
    fields: Map<String, Value>,
    picture: Option<String>,
}

impl Notice {
    /// What is wrong.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Error, code, message.into())
    }

    /// How a run ended that did not do all that it should; as grave as an error, but nothing may be wrong.
    pub fn outcome(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Outcome, code, message.into())
    }

    /// What is doubtful.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Warn, code, message.into())
    }

    /// What happens.
    pub fn info(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Level::Info, code, message.into())
    }

    fn new(level: Level, code: &'static str, message: String) -> Self {
        Self { level, code, message, help: None, fields: Map::new(), picture: None }
    }

    /// What it is about, before the message.
    pub fn about(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// What to do next.
    pub fn help(mut self, help: Option<impl Into<String>>) -> Self {
        self.help = help.map(Into::into);
        self
    }

    /// A field more for programs.
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(field.to_owned(), value.into());
        self
    }

    /// What people see instead of message and help.
    pub fn pictured(mut self, picture: String) -> Self {
        self.picture = Some(picture);
        self
    }

    /// `error: MESSAGE`, and on the next line `  help: WAY OUT`, in so many columns; control characters are escaped.
    fn text(&self, columns: Option<usize>) -> String {
        if let Some(picture) = &self.picture {
            return picture.clone();
        }
        let mut out = format!("{}{}\n", self.level.head(), escape_lines(&self.message));
        if let Some(help) = &self.help {
            out += &format!("  help: {}\n", escape_lines(help));
        }
        wrapped(&out, columns)
    }

    /// With the keys of a log line, and `code`, `help` where there is one, and the fields.
    fn object(&self, timestamp: &str) -> Value {
        let mut object = self.fields.clone();
        let about = json!({
            "timestamp": timestamp,
            "level": self.level.as_str(),
            "target": "rsgsync",
            "code": self.code,
            "message": escape_lines(&self.message),
        });
        object.extend(about.as_object().cloned().unwrap_or_default());
        object.extend(self.help.iter().map(|help| ("help".to_owned(), escape_lines(help).into())));
        Value::Object(object)
    }
}
