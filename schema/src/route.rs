//! Routes: URL paths with their variable parts named, so that a dimension stays small and no id is stored.

/// Characters of a path segment above which it is taken for an id or a text.
const SEGMENT_CHARS_MAX: usize = 32;
/// Segments of a route at most; a longer path is cut.
const SEGMENTS_MAX: usize = 12;
/// Schemes whose URLs have no path.
const CONTENT_SCHEMES: [&str; 7] = ["about", "blob", "data", "javascript", "mailto", "sms", "tel"];

/// An app's path template: literal segments, `:name` for one segment, `**` at the end for the rest.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Template {
    text: String,
}

/// Why a template was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It does not begin with a slash.
    #[error("route `{0}` must begin with `/`")]
    NoSlash(String),
    /// `**` stands elsewhere than at the end.
    #[error("route `{0}` has `**` before its end")]
    RestNotLast(String),
}

impl TryFrom<String> for Template {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        if !text.starts_with('/') {
            return Err(TemplateError::NoSlash(text));
        }
        let rest_at = segments(&text).position(|segment| segment == "**");
        if rest_at.is_some_and(|at| at + 1 != segments(&text).count()) {
            return Err(TemplateError::RestNotLast(text));
        }
        Ok(Self { text })
    }
}

impl From<Template> for String {
    fn from(template: Template) -> Self {
        template.text
    }
}

impl Template {
    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `path`, or a route that this or another template gave, falls under this template.
    pub fn matches(&self, path: &str) -> bool {
        let mut found = segments(path);
        for wanted in segments(&self.text) {
            if wanted == "**" {
                return true;
            }
            match found.next() {
                Some(segment) if wanted.starts_with(':') || wanted == segment => {}
                Some(_) | None => return false,
            }
        }
        found.next().is_none()
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// The route of a URL or path: the first template that matches, else the path with ids and long segments
/// replaced by `:id`. Scheme, host, query and fragment are dropped.
///
/// ```
/// use schema::route::route_of;
/// assert_eq!(route_of("https://app.example/lectures/42/play?user=7#t", &[]), "/lectures/:id/play");
/// assert_eq!(route_of("/", &[]), "/");
/// ```
pub fn route_of(url: &str, templates: &[Template]) -> String {
    let path = path_of(url);
    if let Some(template) = templates.iter().find(|template| template.matches(path)) {
        return template.text.clone();
    }
    let mut route = String::with_capacity(path.len().min(64));
    for segment in segments(path).take(SEGMENTS_MAX) {
        route.push('/');
        // Parameters of a segment, such as `;jsessionid=…`, are a query in another place.
        let name = segment.split(';').next().unwrap_or_default();
        route.push_str(if is_variable(name) { ":id" } else { name });
    }
    if route.is_empty() { "/".to_owned() } else { route }
}

fn path_of(url: &str) -> &str {
    // A query may hold a URL of its own.
    let url = &url[..url.find(['?', '#']).unwrap_or(url.len())];
    match url.find("://") {
        Some(at) => {
            let rest = &url[at + 3..];
            rest.find('/').map_or("/", |slash| &rest[slash..])
        }
        None if has_content_of_its_own(url) => "/",
        None => url,
    }
}

/// Whether what follows the scheme is no path but the content itself, or whom to reach.
fn has_content_of_its_own(url: &str) -> bool {
    url.split_once(':')
        .is_some_and(|(scheme, _)| CONTENT_SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)))
}

/// A number, a UUID or hash (four or more digits, or hex and dashes with a digit), too long for a name, or with characters
/// that names in paths have not.
fn is_variable(segment: &str) -> bool {
    let digits = segment.bytes().filter(u8::is_ascii_digit).count();
    let hex = segment.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    segment.chars().nth(SEGMENT_CHARS_MAX).is_some()
        || (digits > 0 && digits == segment.len())
        || digits >= 4
        || (hex && digits > 0 && segment.len() >= 8)
        || segment.is_empty()
        || segment.contains(['@', '%', '=', '&', ' ', '"', '<', '('])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_parameter_is_one_segment_and_stars_are_the_rest() {
        assert!(template("/lectures/:id").matches("/lectures/42"));
        assert!(template("/lectures/:id").matches("/lectures/:id"));
        assert!(!template("/lectures/:id").matches("/lectures/42/play"));
        assert!(!template("/lectures/:id").matches("/lectures"));
        assert!(template("/api/lectures/**").matches("/api/lectures/42/notes"));
        assert!(template("/api/lectures/**").matches("/api/lectures"));
        assert!(template("/").matches("/"));
        assert!(!template("/").matches("/a"));
    }

    #[test]
    fn templates_win_over_guesses() {
        let templates = [template("/lectures/:lecture")];
        assert_eq!(route_of("https://h/lectures/intro", &templates), "/lectures/:lecture");
        assert_eq!(route_of("https://h/answers/fail", &templates), "/answers/fail");
    }

    #[test]
    fn ids_and_secrets_do_not_stay_in_routes() {
        for (url, route) in [
            ("/u/550e8400-e29b-41d4-a716-446655440000/x", "/u/:id/x"),
            ("/u/deadbeef1", "/u/:id"),
            ("/v2/items", "/v2/items"),
            ("/mail/a@b.example", "/mail/:id"),
            ("/q/na%20me", "/q/:id"),
            ("https://h?token=1", "/"),
            ("https://h", "/"),
            ("https://me:pass@h/a", "/a"),
            ("/to?next=https://h/other?token=1", "/to"),
            ("/a;jsessionid=AB12/b", "/a/b"),
            ("/a/;secret/b", "/a/:id/b"),
            ("/q=name/b", "/:id/b"),
            ("data:text/plain,secret/x", "/"),
            ("MAILTO:me/x", "/"),
            ("Mozilla/5.0 (X11; Linux) Secret/1", "/Mozilla/:id/:id"),
            ("", "/"),
        ] {
            assert_eq!(route_of(url, &[]), route, "{url}");
        }
        assert_eq!(route_of(&format!("/{}", "x".repeat(33)), &[]), "/:id");
        assert_eq!(route_of(&"/a".repeat(40), &[]), "/a".repeat(SEGMENTS_MAX));
    }

    #[test]
    fn bad_templates_are_refused() {
        assert!(Template::try_from("lectures".to_owned()).is_err());
        assert!(Template::try_from("/a/**/b".to_owned()).is_err());
    }
}
