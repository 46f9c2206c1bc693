//! What may stand between rsgsync and a cloud's API: it fails, loses answers, waits, or asks for small pages. What it lets
//! through, the real service answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// What becomes of a request.
pub enum Fate {
    Pass,
    /// With this behind its query.
    PassWith(&'static str),
    /// It passes once so many have been under way at the same time.
    Meet(usize),
    /// It is carried out, and nobody hears of it.
    Lose,
    /// Nobody carries it out: this status line, with these headers.
    Refuse(&'static str),
    /// Nobody carries it out, and the connection ends.
    Drop,
}

pub struct Proxy {
    pub url: String,
    shared: Arc<Shared>,
}

struct Shared {
    service: String,
    log: Mutex<Log>,
    arrived: Condvar,
}

#[derive(Default)]
struct Log {
    /// Requests as `POST /v2.0/security-groups`, in their order.
    seen: Vec<String>,
    under_way: usize,
    /// The most that were under way at the same time.
    most: usize,
}

impl Proxy {
    /// `decide` gets a request, and how many of the same came before it; it is asked about one at a time.
    pub fn start(service: &str, decide: impl Fn(&str, usize) -> Fate + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Shared { service: service.to_owned(), log: Mutex::default(), arrived: Condvar::new() };
        let (shared, decide) = (Arc::new(shared), Arc::new(Mutex::new(decide)));
        let all = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (shared, decide) = (Arc::clone(&all), Arc::clone(&decide));
                std::thread::spawn(move || {
                    let decide = |request: &str, before| decide.lock().unwrap()(request, before);
                    let _ = shared.serve(client.unwrap(), decide);
                });
            }
        });
        Self { url, shared }
    }

    pub fn count(&self, request: &str) -> usize {
        self.shared.log.lock().unwrap().seen.iter().filter(|seen| *seen == request).count()
    }

    /// How many requests were made.
    pub fn total(&self) -> usize {
        self.shared.log.lock().unwrap().seen.len()
    }

    /// The most requests that were under way at the same time.
    pub fn most_at_once(&self) -> usize {
        self.shared.log.lock().unwrap().most
    }
}

impl Shared {
    fn serve(&self, client: TcpStream, decide: impl Fn(&str, usize) -> Fate) -> std::io::Result<()> {
        let mut reader = BufReader::new(client);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        let mut words = first.split(' ');
        let (method, target) =
            (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
        let (mut headers, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
            match name.as_str() {
                "connection" => continue,
                "content-length" => length = line.rsplit(' ').next().unwrap().trim().parse().unwrap(),
                _ if line.trim().is_empty() => break,
                _ => {}
            }
            headers.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let request = format!("{method} {}", target.split('?').next().unwrap());
        let fate = decide(&request, self.begin(&request));
        if matches!(fate, Fate::Drop) {
            self.log.lock().unwrap().under_way -= 1;
            return Ok(());
        }
        let more = if let Fate::PassWith(more) = fate { more } else { "" };
        if let Fate::Meet(count) = fate {
            self.meet(count);
        }
        let mut answer = Vec::new();
        if let Fate::Refuse(status) = fate {
            let text = r#"{"NeutronError": {"type": "Trouble", "message": "not now", "detail": ""}}"#;
            let length = text.len();
            answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
            )
            .into_bytes();
        } else {
            let mut upstream = TcpStream::connect(&self.service)?;
            write!(upstream, "{method} {target}{more} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n")?;
            upstream.write_all(&body)?;
            upstream.read_to_end(&mut answer)?;
        }
        self.log.lock().unwrap().under_way -= 1;
        if !matches!(fate, Fate::Lose) {
            reader.get_mut().write_all(&answer)?;
        }
        Ok(())
    }

    /// How many of the same came before.
    fn begin(&self, request: &str) -> usize {
        let mut log = self.log.lock().unwrap();
        let before = log.seen.iter().filter(|seen| *seen == request).count();
        log.seen.push(request.to_owned());
        log.under_way += 1;
        log.most = log.most.max(log.under_way);
        self.arrived.notify_all();
        before
    }

    /// Waits until so many have been under way at the same time, and not for ever.
    fn meet(&self, count: usize) {
        let log = self.log.lock().unwrap();
        let fewer = |log: &mut Log| log.most < count;
        let _ = self.arrived.wait_timeout_while(log, Duration::from_secs(20), fewer).unwrap();
    }
}
