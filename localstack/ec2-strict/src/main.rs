//! `ec2-strict PORT_FILE`: listens on 127.0.0.1, on port 4700 or the next one that is free, and writes which.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::process::ExitCode;

use ec2_strict::Server;
use tokio::net::TcpListener;

const FIRST_PORT: u16 = 4700;
const PORTS: u16 = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let served = match arguments.as_slice() {
        [port_file] => serve(port_file).await,
        _ => Err(io::Error::other("usage: ec2-strict PORT_FILE")),
    };
    match served {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

async fn serve(port_file: &str) -> io::Result<Infallible> {
    let listener = listen().await?;
    std::fs::write(port_file, format!("{}\n", listener.local_addr()?.port()))?;
    Ok(Server::default().serve(listener).await)
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
