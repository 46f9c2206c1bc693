//! `gcp-server KEY_FILE PORT_FILE [--strict]`: listens on 127.0.0.1, on port 4580 or the next one that is free,
//! and writes its service account's key and then its port.

use std::io;
use std::net::Ipv4Addr;
use std::process::ExitCode;

use gcp_server::Server;
use tokio::net::TcpListener;

const FIRST_PORT: u16 = 4580;
const PORTS: u16 = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let served = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [key, port] => serve(key, port, false).await,
        [key, port, "--strict"] => serve(key, port, true).await,
        _ => Err(io::Error::other("usage: gcp-server KEY_FILE PORT_FILE [--strict]")),
    };
    match served {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

async fn serve(key_file: &str, port_file: &str, strict: bool) -> io::Result<std::convert::Infallible> {
    let server = Server::new(strict)?;
    let listener = listen().await?;
    let port = listener.local_addr()?.port();
    std::fs::write(key_file, server.key_file(&format!("http://127.0.0.1:{port}"))?)?;
    std::fs::write(port_file, format!("{port}\n"))?;
    Ok(server.serve(listener).await)
}

async fn listen() -> io::Result<TcpListener> {
    for port in FIRST_PORT..FIRST_PORT + PORTS {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            other => return other,
        }
    }
    Err(io::Error::other(format!("no free port on 127.0.0.1 from {FIRST_PORT} to {}", FIRST_PORT + PORTS - 1)))
}
