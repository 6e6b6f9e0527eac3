//! Reads the forms of a page, as much as these pages need.

/// A form with what it would send.
#[derive(Debug, Clone, Default)]
pub struct Form {
    /// Where it posts to.
    pub action: String,
    /// Hidden fields, text fields and checked boxes, in order.
    pub fields: Vec<(String, String)>,
    /// Its buttons with a name.
    pub buttons: Vec<(String, String)>,
}

impl Form {
    /// Every form of a page.
    pub fn all(html: &str) -> Vec<Self> {
        let mut forms: Vec<Self> = Vec::new();
        let mut inside = false;
        for tag in tags(html) {
            match tag.name {
                "form" => {
                    inside = true;
                    forms.push(Self {
                        action: tag.get("action").unwrap_or_default(),
                        ..Self::default()
                    });
                }
                "/form" => inside = false,
                "input" | "button" if inside => {
                    if let Some(form) = forms.last_mut() {
                        form.take(&tag);
                    }
                }
                _ => {}
            }
        }
        forms
    }

    fn take(&mut self, tag: &Tag<'_>) {
        let Some(name) = tag.get("name") else { return };
        let value = tag.get("value").unwrap_or_default();
        let kind = tag.get("type").unwrap_or_default();
        match (tag.name, kind.as_str()) {
            ("button", _) | (_, "submit") => self.buttons.push((name, value)),
            (_, "checkbox" | "radio") if tag.get("checked").is_none() => {}
            _ => self.fields.push((name, value)),
        }
    }

    /// The first value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    /// Every value of a field.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.fields
            .iter()
            .filter(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The form with one value for a field.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(field, _)| field != name);
        self.add(name, value)
    }

    /// The form with one more value.
    #[must_use]
    pub fn add(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The form without a field.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(field, _)| field != name);
        self
    }
}

struct Tag<'a> {
    name: &'a str,
    attributes: Vec<(&'a str, String)>,
}

impl Tag<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.attributes
            .iter()
            .find(|(attribute, _)| *attribute == name)
            .map(|(_, value)| value.clone())
    }
}

/// The tags of a page. A `>` inside a quoted attribute does not end a tag.
fn tags(html: &str) -> Vec<Tag<'_>> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        let text = &rest[start + 1..];
        let end = end_of_tag(text);
        tags.push(tag(&text[..end]));
        rest = &text[end..];
    }
    tags
}

fn end_of_tag(text: &str) -> usize {
    let mut quote = None;
    for (index, character) in text.char_indices() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None, '>') => return index,
            _ => {}
        }
    }
    text.len()
}

fn tag(text: &str) -> Tag<'_> {
    let (name, mut rest) = text.split_at(text.find(|c: char| c.is_whitespace()).unwrap_or(text.len()));
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        let end = rest
            .find(|c: char| c.is_whitespace() || c == '=')
            .unwrap_or(rest.len());
        if end == 0 {
            return Tag { name, attributes };
        }
        let (attribute, after) = rest.split_at(end);
        let Some(value) = after.strip_prefix('=') else {
            attributes.push((attribute, String::new()));
            rest = after;
            continue;
        };
        let (value, after) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value[1..].split_once(quote).unwrap_or((&value[1..], "")),
            _ => value.split_at(value.find(char::is_whitespace).unwrap_or(value.len())),
        };
        attributes.push((attribute, unescape(value)));
        rest = after;
    }
}

/// Undoes what the templates escape.
pub fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        plain.push_str(&rest[..start]);
        let (entity, after) = rest[start + 1..]
            .split_once(';')
            .expect("an entity ends with a semicolon");
        plain.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            "nbsp" => '\u{a0}',
            _ => numeric(entity),
        });
        rest = after;
    }
    plain.push_str(rest);
    plain
}

fn numeric(entity: &str) -> char {
    let number = entity.strip_prefix('#').expect("a known entity");
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    char::from_u32(code.expect("a number")).expect("a character")
}
