//! The logs on stderr: which events, and how they are written.

use std::io::IsTerminal;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::{Colour, Global, LogFormat};
use crate::console::{Console, Notice};

/// The variable that says exactly what is logged.
pub const VARIABLE: &str = "RUST_LOG";

/// Starts logging, before anything is printed.
pub fn start(global: &Global, console: Console) {
    let asked = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let filter = match asked.as_deref().map(EnvFilter::try_new) {
        None => EnvFilter::new(usual(global)),
        Some(Ok(filter)) => filter,
        Some(Err(error)) => {
            let help = "an example: RUST_LOG=rsgsync=debug,warn";
            console.tell(&Notice::warning("log", format!("{VARIABLE} is set aside: {error}")).help(Some(help)));
            EnvFilter::new(usual(global))
        }
    };
    let colours = match global.color {
        Colour::Auto => std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        Colour::Always => true,
        Colour::Never => false,
    };
    subscriber(global.log_format, colours, filter, std::io::stderr).init();
}

/// What is logged unless the variable says otherwise; `rsgsync` stands for all our crates.
fn usual(global: &Global) -> &'static str {
    match (global.quiet, global.verbose) {
        // What the clouds' SDKs log, our errors say better.
        (true, _) => "off,rsgsync=error",
        (false, 0) => "off,rsgsync=warn",
        (false, 1) => "off,rsgsync=info",
        (false, _) => "info,rsgsync=debug",
    }
}

fn subscriber<W>(format: LogFormat, colours: bool, filter: EnvFilter, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(colours).with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter.and(filter_fn(has_no_secret))))
}

/// Libraries write headers and bodies, so tokens too, below `info`; OpenStack's SDK below `warn`.
fn has_no_secret(event: &Metadata<'_>) -> bool {
    let target = event.target();
    let most = if target.starts_with("rsgsync") {
        Level::TRACE
    } else if target.starts_with("openstack") {
        Level::WARN
    } else {
        Level::INFO
    };
    *event.level() <= most
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("one thread").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What events write when everything is asked for.
    fn written(format: LogFormat, events: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let all = subscriber(format, false, EnvFilter::new("trace"), move || writer.clone());
        tracing::subscriber::with_default(all, events);
        String::from_utf8(written.0.lock().expect("one thread").clone()).expect("text")
    }

    #[test]
    fn what_libraries_write_of_requests_is_never_logged() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let lines = written(format, || {
                tracing::trace!(target: "aws_smithy_runtime::client::orchestrator", "authorization: secret");
                tracing::debug!(target: "hyper_util::client", "authorization: secret");
                tracing::info!(target: "openstack_sdk::openstack_async", "x-subject-token: secret");
                tracing::trace!(target: "rsgsync_engine::retry", "ours");
                tracing::info!(target: "aws_config::meta", "theirs");
            });
            assert!(!lines.contains("secret"), "{lines}");
            assert!(lines.contains("ours") && lines.contains("theirs"), "{lines}");
        }
    }

    #[test]
    fn a_line_for_programs_has_its_fields_beside_the_message() {
        let line =
            written(LogFormat::Json, || tracing::info!(target: "rsgsync_aws", action = "RunAll", "a \"call\"\n"));
        let line: serde_json::Value = serde_json::from_str(&line).expect("an object");
        let field = |name: &str| line[name].as_str().expect("a text");
        assert_eq!((field("level"), field("target")), ("INFO", "rsgsync_aws"));
        assert_eq!((field("message"), field("action")), ("a \"call\"\n", "RunAll"));
    }
}
