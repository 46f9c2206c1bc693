//! Filters: a name and patterns, any of which must match.

use crate::error::Refusal;
use crate::parameters::Parameters;

/// Filter values a call may have. Source: EC2 API reference, "FilterLimitExceeded"; user guide, "List and filter".
const MOST_VALUES: usize = 200;

/// A text in which `*` is any characters and `?` is one; a backslash takes that from them.
pub(crate) struct Pattern(Vec<Piece>);

#[derive(PartialEq)]
enum Piece {
    Many,
    One,
    Character(char),
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut characters = text.chars();
        while let Some(c) = characters.next() {
            pieces.push(match c {
                '*' => Piece::Many,
                '?' => Piece::One,
                '\\' => Piece::Character(characters.next().unwrap_or('\\')),
                c => Piece::Character(c),
            });
        }
        Self(pieces)
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        // reached[n]: the pieces so far match the first n characters.
        let text: Vec<char> = text.chars().collect();
        let mut reached = vec![false; text.len() + 1];
        reached[0] = true;
        for piece in &self.0 {
            if *piece == Piece::Many {
                let first = reached.iter().position(|r| *r).unwrap_or(reached.len());
                reached[first..].fill(true);
                continue;
            }
            for n in (1..=text.len()).rev() {
                reached[n] = reached[n - 1] && (*piece == Piece::One || *piece == Piece::Character(text[n - 1]));
            }
            reached[0] = false;
        }
        reached.last().copied().unwrap_or_default()
    }
}

/// All filters of a call; each must match.
pub(crate) struct Filters(Vec<(String, Vec<Pattern>)>);

impl Filters {
    /// Takes them out of the parameters. `known` are the names that the action has; `tag:` stands for every key.
    pub(crate) fn read(parameters: &mut Parameters, known: &[&str]) -> Result<Self, Refusal> {
        let mut filters = Vec::new();
        let mut count = 0;
        for mut filter in parameters.list("Filter") {
            let name = filter.need("Name")?;
            let values = filter.texts("Value");
            filter.finish()?;
            if !known.iter().any(|known| name == *known || (*known == "tag:" && name.starts_with("tag:"))) {
                return Err(Refusal::wrong(format!("The filter '{name}' is invalid")));
            }
            if values.is_empty() {
                return Err(Refusal::wrong("The filter 'null' is invalid"));
            }
            count += values.len();
            filters.push((name, values.iter().map(|value| Pattern::new(value)).collect()));
        }
        if count > MOST_VALUES {
            let message = format!("The maximum number of filter values specified on a single call is {MOST_VALUES}");
            return Err(Refusal::new("FilterLimitExceeded", message));
        }
        Ok(Self(filters))
    }

    /// Whether something passes; `values` are what it has under a filter's name.
    pub(crate) fn pass(&self, values: impl Fn(&str) -> Vec<String>) -> bool {
        self.0.iter().all(|(name, patterns)| {
            let values = values(name);
            patterns.iter().any(|pattern| values.iter().any(|value| pattern.matches(value)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "a", true),
            ("a*c", "abbc", true),
            ("*b*", "abc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("**", "", true),
            ("", "", true),
            ("?", "", false),
            ("A", "a", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), expected, "{pattern} {text}");
        }
    }
}
