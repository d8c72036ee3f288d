//! What the last lines of a program's output tell besides themselves.

use crate::linux::ports;

/// Words that programs use when a port is taken (EADDRINUSE in its many dresses).
const TAKEN: [&str; 4] = ["address already in use", "address in use", "eaddrinuse", "port is already"];

/// Facts that the lines point at: who holds the port that one of them names.
pub(super) fn of(lines: &[String]) -> Vec<String> {
    let Some(at) = lines.iter().rposition(|line| is_taken(line)) else { return Vec::new() };
    // The line itself mostly names the port; else one of the lines just before it does.
    let near = lines[..=at].iter().rev().take(3);
    let port = near.flat_map(|line| numbers(line)).find_map(|port| Some((port, ports::listener(port)?)));
    match port {
        Some((port, holder)) => vec![format!("port {port} is held by pid {} ({})", holder.pid, holder.name)],
        None => vec!["a port or address that it wants is taken; who holds it cannot be seen".to_owned()],
    }
}

fn is_taken(line: &str) -> bool {
    let lower = line.to_lowercase();
    TAKEN.iter().any(|words| lower.contains(words))
}

/// Numbers of a line that can be ports, those after a colon first.
fn numbers(line: &str) -> Vec<u16> {
    let mut found: Vec<(bool, u16)> = Vec::new();
    let mut before = ' ';
    let mut digits = String::new();
    let mut after_colon = false;
    for c in line.chars().chain([' ']) {
        if c.is_ascii_digit() {
            if digits.is_empty() {
                after_colon = before == ':';
            }
            digits.push(c);
        } else if !digits.is_empty() {
            if let Ok(port @ 1..) = digits.parse::<u16>() {
                found.push((!after_colon, port));
            }
            digits.clear();
        }
        before = c;
    }
    found.sort_by_key(|(later, _)| *later);
    found.into_iter().map(|(_, port)| port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found_in_the_words_of_many_programs() {
        for line in [
            "OSError: [Errno 98] Address already in use: ('127.0.0.1', 8080)",
            "nginx: [emerg] bind() to 0.0.0.0:8080 failed (98: Address already in use)",
            "Error: listen EADDRINUSE: address already in use :::8080",
            "# Warning: Could not create server TCP listening socket *:8080: bind: Address already in use",
        ] {
            assert!(is_taken(line), "{line}");
            assert!(numbers(line).contains(&8080), "{line}: {:?}", numbers(line));
        }
        assert_eq!(numbers("0.0.0.0:8080 98")[0], 8080);
        assert!(of(&["all is well on :8080".to_owned()]).is_empty());
    }
}
