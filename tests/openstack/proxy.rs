//! What may stand between rsgsync and Neutron: it fails, loses answers, or asks for small pages. What it lets through, the
//! real Neutron answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What becomes of a request.
pub enum Fate {
    Pass,
    /// With this behind its query.
    PassWith(&'static str),
    /// It is carried out, and nobody hears of it.
    Lose,
    /// Nobody carries it out: this status line, with these headers.
    Refuse(&'static str),
}

/// Requests as `POST /v2.0/security-groups`, in their order.
type Seen = Arc<Mutex<Vec<String>>>;

pub struct Proxy {
    pub url: String,
    seen: Seen,
}

impl Proxy {
    /// `decide` gets a request, and how many of the same came before it.
    pub fn start(neutron: &str, decide: impl Fn(&str, usize) -> Fate + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (neutron, seen) = (neutron.to_owned(), Seen::default());
        let all = Arc::clone(&seen);
        std::thread::spawn(move || {
            // One at a time, as Neutron here does.
            for client in listener.incoming() {
                let _ = serve(client.unwrap(), &neutron, &all, &decide);
            }
        });
        Self { url, seen }
    }

    pub fn count(&self, request: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|seen| *seen == request).count()
    }
}

fn serve(client: TcpStream, neutron: &str, seen: &Seen, decide: &impl Fn(&str, usize) -> Fate) -> std::io::Result<()> {
    let mut reader = BufReader::new(client);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
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
    let before = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.iter().filter(|one| **one == request).count() - 1
    };
    let fate = decide(&request, before);
    let more = if let Fate::PassWith(more) = fate { more } else { "" };
    let mut answer = Vec::new();
    if let Fate::Refuse(status) = fate {
        let text = r#"{"NeutronError": {"type": "Trouble", "message": "not now", "detail": ""}}"#;
        let length = text.len();
        answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
        )
        .into_bytes();
    } else {
        let mut upstream = TcpStream::connect(neutron)?;
        write!(upstream, "{method} {target}{more} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n")?;
        upstream.write_all(&body)?;
        upstream.read_to_end(&mut answer)?;
    }
    if !matches!(fate, Fate::Lose) {
        reader.get_mut().write_all(&answer)?;
    }
    Ok(())
}
