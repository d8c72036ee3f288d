//! Problems as text for people, in the form that compilers made familiar, and as data for programs.
//!
//! In: problems. Out: text or plain structs. Never add here: decisions, or text from a file that is not
//! escaped.

use super::problem::{Problem, Problems, Severity, Spot, visible};
use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;
use std::fmt::Write as _;

/// How problems are rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Plain text.
    Plain,
    /// With ANSI colours.
    Colour,
}

/// A problem as JSON shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProblemReport {
    /// `error` or `warning`.
    pub severity: &'static str,
    /// The file, absolute.
    pub file: String,
    /// From 1; null for the file as a whole.
    pub line: Option<u32>,
    /// From 1, in characters; null with `line`.
    pub column: Option<u32>,
    /// `programs.crawler.restart.policy`, or empty.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The second place, where there are two.
    pub related: Option<RelatedReport>,
}

/// The second place of a problem as JSON shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RelatedReport {
    /// The file, absolute.
    pub file: String,
    /// From 1.
    pub line: Option<u32>,
    /// What is there.
    pub label: String,
}

/// More than this are counted, not shown.
const SHOWN: usize = 50;

/// A longer line is not shown: nobody can see the caret in it.
const LONGEST_LINE: usize = 400;

impl Problems {
    /// All problems as a text that ends with a newline.
    pub fn render(&self, style: Style) -> String {
        let mut out = render_all(&self.list[..self.list.len().min(SHOWN)], style);
        let hidden = self.list.len().saturating_sub(SHOWN) + self.more;
        if hidden > 0 {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "\n… and {hidden} more");
        }
        out
    }

    /// All problems as data.
    pub fn report(&self) -> Vec<ProblemReport> {
        self.list.iter().map(Problem::report).collect()
    }
}

/// Several problems (the warnings of a good file, for example) as one text.
pub fn render_all(problems: &[Problem], style: Style) -> String {
    let texts: Vec<String> = problems.iter().map(|problem| problem.render(style)).collect();
    texts.join("\n")
}

impl Problem {
    /// The problem as a text of several lines that ends with a newline.
    pub fn render(&self, style: Style) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = match self.key_path.is_empty() {
            true => visible(&self.message),
            false => visible(&format!("{}: {}", self.key_path, self.message)),
        };
        let mut group: Group<'_> = level.primary_title(title).element(place(&self.spot, None, true));
        if let Some(related) = &self.related {
            group = group.element(place(&related.spot, Some(&related.label), false));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(visible(help)));
        }
        let renderer = match style {
            Style::Plain => Renderer::plain(),
            Style::Colour => Renderer::styled(),
        };
        let mut text = renderer.render(&[group]);
        text.push('\n');
        text
    }

    /// The problem as data.
    pub fn report(&self) -> ProblemReport {
        ProblemReport {
            severity: match self.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            file: self.spot.file.display().to_string(),
            line: self.spot.line,
            column: self.spot.line.map(|_| self.spot.column),
            key: self.key_path.clone(),
            message: self.message.clone(),
            help: self.help.clone(),
            related: self.related.as_ref().map(|related| RelatedReport {
                file: related.spot.file.display().to_string(),
                line: related.spot.line,
                label: related.label.clone(),
            }),
        }
    }
}

/// The place of a problem: with its line and caret where the line can be shown, else file and line alone.
fn place<'a>(spot: &'a Spot, label: Option<&'a str>, primary: bool) -> Element<'a> {
    let excerpt = spot.excerpt.as_ref().filter(|excerpt| excerpt.line.len() <= LONGEST_LINE);
    let (Some(excerpt), Some(line)) = (excerpt, spot.line) else {
        let origin = Origin::path(visible(&spot.shown));
        return match spot.line {
            Some(line) => origin.line(line as usize).char_column(spot.column as usize).into(),
            None => origin.into(),
        };
    };
    let kind = if primary { AnnotationKind::Primary } else { AnnotationKind::Context };
    let annotation = kind.span(excerpt.marked.clone()).label(label.map(visible));
    Snippet::source(excerpt.line.as_str())
        .path(visible(&spot.shown))
        .line_start(line as usize)
        .annotation(annotation)
        .into()
}
