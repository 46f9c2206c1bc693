//! A From/To table, as text, Markdown or HTML.

use std::fmt::Write as _;

/// A table whose cells hold several lines, with notes below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Above it.
    pub title: String,
    /// In its first line and column.
    pub corner: String,
    /// Heads of the columns.
    pub columns: Vec<String>,
    /// The lines: a head, and a cell for each column.
    pub lines: Vec<(String, Vec<Vec<String>>)>,
    /// Numbered from 1.
    pub notes: Vec<String>,
}

impl Table {
    /// The lines of a cell, by the heads of its line and column; none where there is no such cell.
    pub fn cell(&self, line: &str, column: &str) -> &[String] {
        let index = self.columns.iter().position(|head| head == column);
        let found = self.lines.iter().find(|(head, _)| head == line);
        found.zip(index).and_then(|((_, cells), index)| cells.get(index)).map_or(&[], Vec::as_slice)
    }

    /// For a terminal: columns aligned by spaces.
    pub fn to_text(&self) -> String {
        let heads = std::iter::once(&self.corner).chain(&self.columns).map(|head| head.chars().count());
        let mut widths: Vec<usize> = heads.collect();
        for (head, cells) in &self.lines {
            let own = std::iter::once(head.chars().count()).chain(cells.iter().map(|cell| width(cell)));
            widths.iter_mut().zip(own).for_each(|(width, own)| *width = own.max(*width));
        }
        let mut out = String::new();
        let mut line = |texts: &[&str]| {
            let mut text = String::new();
            for (cell, width) in texts.iter().zip(&widths) {
                let _ = write!(text, "{cell:<width$}  ");
            }
            let _ = writeln!(out, "{}", text.trim_end());
        };
        if !self.title.is_empty() {
            line(&[]);
        }
        let heads: Vec<&str> = std::iter::once(&self.corner).chain(&self.columns).map(String::as_str).collect();
        line(&heads);
        let rules: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
        line(&rules.iter().map(String::as_str).collect::<Vec<_>>());
        for (head, cells) in &self.lines {
            for index in 0..cells.iter().map(Vec::len).max().unwrap_or_default().max(1) {
                let head = if index == 0 { head.as_str() } else { "" };
                let cells = cells.iter().map(|cell| cell.get(index).map_or("", String::as_str));
                line(&std::iter::once(head).chain(cells).collect::<Vec<_>>());
            }
        }
        if !self.title.is_empty() {
            out = format!("{}{out}", self.title);
        }
        for (index, note) in self.notes.iter().enumerate() {
            let _ = writeln!(out, "{:>3}. {note}", index + 1);
        }
        out
    }

    /// For Markdown: a pipe table, lines of a cell parted by `<br>`.
    pub fn to_markdown(&self) -> String {
        let mut out = String::new();
        if !self.title.is_empty() {
            let _ = write!(out, "## {}\n\n", markdown(&self.title));
        }
        let mut line = |texts: Vec<String>| {
            let _ = writeln!(out, "| {} |", texts.join(" | "));
        };
        line(std::iter::once(&self.corner).chain(&self.columns).map(|head| markdown(head)).collect());
        line(std::iter::repeat_n("---".to_owned(), self.columns.len() + 1).collect());
        for (head, cells) in &self.lines {
            let cells =
                cells.iter().map(|cell| cell.iter().map(|text| markdown(text)).collect::<Vec<_>>().join("<br>"));
            line(std::iter::once(markdown(head)).chain(cells).collect());
        }
        if !self.notes.is_empty() {
            out.push('\n');
        }
        for (index, note) in self.notes.iter().enumerate() {
            let _ = writeln!(out, "{}. {}", index + 1, markdown(note));
        }
        out
    }

    /// For a page: a section with a `<table>`, and the notes as a list.
    pub fn to_html(&self) -> String {
        let mut out = String::from("<section>\n");
        if !self.title.is_empty() {
            let _ = writeln!(out, "<h2>{}</h2>", html(&self.title));
        }
        out.push_str("<table>\n<thead><tr>");
        for head in std::iter::once(&self.corner).chain(&self.columns) {
            let _ = write!(out, "<th scope=\"col\">{}</th>", html(head));
        }
        out.push_str("</tr></thead>\n<tbody>\n");
        for (head, cells) in &self.lines {
            let _ = write!(out, "<tr><th scope=\"row\">{}</th>", html(head));
            for cell in cells {
                let texts: Vec<String> = cell.iter().map(|text| html(text)).collect();
                let _ = write!(out, "<td>{}</td>", texts.join("<br>"));
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody>\n</table>\n");
        if !self.notes.is_empty() {
            out.push_str("<ol>\n");
            for note in &self.notes {
                let _ = writeln!(out, "<li>{}</li>", html(note));
            }
            out.push_str("</ol>\n");
        }
        out.push_str("</section>\n");
        out
    }
}

/// A whole page around sections; it needs no other file.
pub fn html_page(title: &str, sections: &str) -> String {
    let title = html(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<style>\n\
         body {{ font-family: system-ui, sans-serif; margin: 2rem; }}\n\
         table {{ border-collapse: collapse; }}\n\
         th, td {{ border: 1px solid #999; padding: .3rem .6rem; text-align: left; vertical-align: top; }}\n\
         </style>\n</head>\n<body>\n<h1>{title}</h1>\n{sections}</body>\n</html>\n"
    )
}

fn width(cell: &[String]) -> usize {
    cell.iter().map(|text| text.chars().count()).max().unwrap_or_default()
}

/// Text that Markdown shows as it is.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '\\' | '*' | '_' | '`' | '[' | ']' => out.extend(['\\', c]),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Text that HTML shows as it is.
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table {
            title: "t<1>".to_owned(),
            corner: "From / To".to_owned(),
            columns: vec!["etcd".to_owned(), "a|b".to_owned()],
            lines: vec![(
                "worker".to_owned(),
                vec![vec!["2379/tcp".to_owned(), "2380/tcp (1)".to_owned()], Vec::new()],
            )],
            notes: vec!["only <when>".to_owned()],
        }
    }

    #[test]
    fn text_aligns_columns_and_stacks_the_lines_of_a_cell() {
        let text = table().to_text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "From / To  etcd          a|b");
        assert_eq!((lines[3], lines[4]), ("worker     2379/tcp", "           2380/tcp (1)"));
        assert_eq!(lines[5], "  1. only <when>");
    }

    #[test]
    fn markdown_keeps_one_line_a_row_and_escapes() {
        let text = table().to_markdown();
        assert!(text.contains("| From / To | etcd | a\\|b |\n| --- | --- | --- |\n"), "{text}");
        assert!(text.contains("| worker | 2379/tcp<br>2380/tcp (1) |  |\n"), "{text}");
        assert!(text.starts_with("## t&lt;1&gt;\n") && text.ends_with("1. only &lt;when&gt;\n"), "{text}");
    }

    #[test]
    fn html_escapes_what_it_is_given() {
        let text = table().to_html();
        assert!(text.contains("<td>2379/tcp<br>2380/tcp (1)</td><td></td>"), "{text}");
        assert!(text.contains("<h2>t&lt;1&gt;</h2>") && !text.contains("<when>"), "{text}");
        assert!(html_page("x", &text).starts_with("<!doctype html>"));
    }

    #[test]
    fn a_cell_is_found_by_its_heads() {
        assert_eq!(table().cell("worker", "etcd").len(), 2);
        assert_eq!(table().cell("worker", "x").len(), 0);
    }
}
