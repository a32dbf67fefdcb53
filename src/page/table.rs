//! Tables and lists of figures.

use std::fmt::Write;

/// What is in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Text(&'static str),
    Number(&'static str),
}

impl Column {
    /// The class of its cells.
    fn class(self) -> &'static str {
        match self {
            Self::Text(_) => "",
            Self::Number(_) => " class=\"n\"",
        }
    }
}

/// A table. The first cell of each row is its header.
pub(super) struct Table {
    columns: Vec<Column>,
    html: String,
}

impl Table {
    /// As wide as the page.
    pub(super) fn new(columns: &[Column]) -> Self {
        Self::begin("<table>", columns)
    }

    /// As wide as the page, with names that get a line of their own if that is narrow.
    pub(super) fn stacked(columns: &[Column]) -> Self {
        Self::begin("<table class=\"stacked\">", columns)
    }

    /// As wide as the page, with columns of fixed widths, for long texts.
    pub(super) fn records(columns: &[Column]) -> Self {
        Self::begin("<table class=\"records\">", columns)
    }

    /// As wide as a few numbers.
    pub(super) fn small(columns: &[Column]) -> Self {
        Self::begin("<table class=\"small\">", columns)
    }

    fn begin(tag: &str, columns: &[Column]) -> Self {
        let mut html = format!("{tag}\n<thead><tr>");
        for &column in columns {
            let (Column::Text(name) | Column::Number(name)) = column;
            let _ = write!(html, "<th scope=\"col\"{}>{name}</th>", column.class());
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        Self {
            columns: columns.to_vec(),
            html,
        }
    }

    /// Adds a row of cells, which are HTML; `class` is that of the row, or empty.
    pub(super) fn row(&mut self, class: &str, cells: &[String]) {
        self.html.push_str("<tr");
        if !class.is_empty() {
            let _ = write!(self.html, " class=\"{class}\"");
        }
        self.html.push('>');
        for (index, (column, cell)) in self.columns.iter().zip(cells).enumerate() {
            let class = column.class();
            let _ = match index {
                0 => write!(self.html, "<th scope=\"row\"{class}>{cell}</th>"),
                _ => write!(self.html, "<td{class}>{cell}</td>"),
            };
        }
        self.html.push_str("</tr>\n");
    }

    pub(super) fn html(self) -> String {
        self.html + "</tbody>\n</table>\n"
    }
}

/// Figures with their names; each is a name, a value and what else there is to say, as HTML.
pub(super) fn figures(list: &[(&str, String, String)]) -> String {
    let mut html = "<dl>\n".to_owned();
    for (name, value, more) in list {
        let _ = write!(html, "<div><dt>{name}</dt><dd>{value}");
        if !more.is_empty() {
            let _ = write!(html, "<small>{more}</small>");
        }
        html.push_str("</dd></div>\n");
    }
    html + "</dl>\n"
}

/// Facts with their names, one in each row.
pub(super) fn facts(list: &[(&str, String)]) -> String {
    let mut html = "<table class=\"facts\">\n<tbody>\n".to_owned();
    for (name, value) in list {
        let _ = writeln!(
            html,
            "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>"
        );
    }
    html + "</tbody>\n</table>\n"
}

/// A table that is shown on demand, and in print.
pub(super) fn on_demand(table: Table) -> String {
    format!(
        "<details>\n<summary>The numbers of this chart</summary>\n{}</details>\n",
        table.html()
    )
}
