//! What would identify a user, by the names of attributes and within texts, wherever a client puts it.
//!
//! A name says what its value is: who or where the user is, their browser in full, what they typed or a secret of theirs.
//! Texts lose mail and network addresses, tokens, user agents, values after such a name, and all of a URL but its route. What
//! has no form to know it by, such as a name in a sentence, only an app's list of attributes keeps out.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use schema::route::{Template, route_of};

/// Stands for a mail address.
const MAIL: &str = ":mail";
/// Stands for a network address.
const ADDRESS: &str = ":address";
/// Stands for a token.
const TOKEN: &str = ":token";
/// Stands for the value of a name that identifies a user.
const HIDDEN: &str = ":hidden";
/// Stands for a user agent, and what follows it.
const USER_AGENT: &str = ":user_agent";

/// How user agents of browsers begin.
const USER_AGENT_BEGIN: &str = "Mozilla/";
/// How JSON Web Tokens begin: `{"` in base64.
const TOKEN_BEGIN: &str = "eyJ";
/// Words before a token in a header.
const TOKEN_SCHEMES: [&str; 2] = ["Bearer", "Basic"];
/// Headers whose value goes on to the end of a text: `Token abc`, `a=1; b=2`.
const HEADERS: [&str; 5] = ["authorization", "cookie", "cookies", "proxy-authorization", "set-cookie"];
/// Around a value of several words.
const QUOTES: [char; 3] = ['"', '\'', '`'];
/// Between words. A URL has none of them.
const BETWEEN_WORDS: [char; 5] = ['"', '\'', '`', '<', '>'];
/// Between the parts of a word.
const BETWEEN_PARTS: [char; 13] = [',', ';', '(', ')', '[', ']', '{', '}', '=', '&', '|', '/', '!'];
/// Between the fields of a word: `name=value` and `user[name]=value` are one.
const BETWEEN_FIELDS: [char; 10] = [',', ';', '(', ')', '{', '}', '&', '|', '/', '!'];
/// Where a name has a part within it, `user[name]`, as it is and as a form writes it.
const WITHIN_NAMES: [char; 3] = ['[', ']', '%'];
/// Dots of an IPv4 address are three, those of a token two.
const DOTS_OF_TOKEN: usize = 2;

/// Names that identify a user, in lower case without `.`, `_`, `-` and spaces, sorted.
const NAMES: [&str; 121] = [
    "aaid",
    "accesstoken",
    "accountid",
    "address",
    "advertisingid",
    "androidid",
    "anonymousid",
    "apikey",
    "appinstallationid",
    "authorization",
    "authtoken",
    "birthdate",
    "birthday",
    "clientaddress",
    "clientip",
    "clientsecret",
    "cookie",
    "cookies",
    "credential",
    "credentials",
    "csrftoken",
    "customerid",
    "dateofbirth",
    "deviceid",
    "devicename",
    "displayname",
    "distinctid",
    "documentreferrer",
    "email",
    "emailaddress",
    "employeeid",
    "familyname",
    "fingerprint",
    "firstname",
    "forwarded",
    "fullname",
    "gaid",
    "givenname",
    "hostname",
    "httpclientip",
    "httpreferer",
    "httpuseragent",
    "iban",
    "idfa",
    "idfv",
    "idtoken",
    "imei",
    "installationid",
    "ip",
    "ipaddress",
    "ipv4",
    "ipv6",
    "jwt",
    "lastname",
    "lat",
    "latitude",
    "learnerid",
    "lng",
    "login",
    "loginname",
    "lon",
    "longitude",
    "macaddress",
    "mail",
    "mailaddress",
    "memberid",
    "msisdn",
    "netpeerip",
    "netsockpeeraddr",
    "networkpeeraddress",
    "nickname",
    "pagereferrer",
    "parentid",
    "passcode",
    "passwd",
    "password",
    "personid",
    "phone",
    "phonenumber",
    "pin",
    "proxyauthorization",
    "pwd",
    "query",
    "querystring",
    "realip",
    "referer",
    "referrer",
    "refreshtoken",
    "remoteaddr",
    "remoteaddress",
    "search",
    "secret",
    "serverip",
    "sessionid",
    "sessionpreviousid",
    "sessiontoken",
    "setcookie",
    "sid",
    "studentid",
    "surname",
    "teacherid",
    "telephone",
    "token",
    "uid",
    "urlfragment",
    "urlquery",
    "user",
    "useragent",
    "useragentoriginal",
    "useremail",
    "userhash",
    "userid",
    "userip",
    "username",
    "visitorid",
    "xapikey",
    "xauthtoken",
    "xcsrftoken",
    "xforwardedfor",
    "xsrftoken",
    "xxsrftoken",
];

/// Beginnings of names that identify a user.
const PREFIXES: [&str; 5] = ["user.", "enduser.", "geo.", "http.request.header.", "http.response.header."];

/// Ends of names of stack traces.
const STACK_ENDS: [&str; 6] =
    ["stack", "stacktrace", "stack_trace", "stack-trace", "stack.trace", "backtrace"];

/// Bytes of the longest of [`NAMES`].
const NAME_BYTES_MAX: usize = 20;

/// Lengths of names by a byte of theirs, as bits.
type Lengths = [u32; 256];

/// By first and by last byte: most names of events are none of [`NAMES`], and are told by this alone.
static LENGTHS: (Lengths, Lengths) = {
    let (mut by_first, mut by_last) = ([0; 256], [0; 256]);
    let mut at = 0;
    while at < NAMES.len() {
        let name = NAMES[at].as_bytes();
        by_first[name[0] as usize] |= 1 << name.len();
        by_last[name[name.len() - 1] as usize] |= 1 << name.len();
        at += 1;
    }
    (by_first, by_last)
};

/// Whether a value of this name identifies a user, or is a secret of theirs.
pub(super) fn names_identity(name: &str) -> bool {
    has_prefix(name) || is_known(name)
}

/// Whether a value of this name is a stack trace, by how such names end: `stack`, `exception.stacktrace`, `componentStack`.
pub(super) fn names_stack(name: &str) -> bool {
    let name = name.as_bytes();
    matches!(name.last(), Some(b'k' | b'K' | b'e' | b'E'))
        && STACK_ENDS.iter().any(|end| {
            name.len() >= end.len() && name[name.len() - end.len()..].eq_ignore_ascii_case(end.as_bytes())
        })
}

fn is_known(name: &str) -> bool {
    let mut plain = [0; NAME_BYTES_MAX];
    let mut length = 0;
    for byte in name.bytes().filter(|byte| !matches!(byte, b'.' | b'_' | b'-' | b' ')) {
        let Some(place) = plain.get_mut(length) else { return false };
        *place = byte.to_ascii_lowercase();
        length += 1;
    }
    let plain = &plain[..length];
    let (Some(first), Some(last)) = (plain.first(), plain.last()) else { return false };
    let lengths = LENGTHS.0[usize::from(*first)] & LENGTHS.1[usize::from(*last)];
    lengths >> length & 1 == 1 && NAMES.binary_search_by(|known| known.as_bytes().cmp(plain)).is_ok()
}

fn has_prefix(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| {
        name.len() >= prefix.len() && name.as_bytes()[..prefix.len()].eq_ignore_ascii_case(prefix.as_bytes())
    })
}

/// The name at the end of what stands before a value within a text: `#token`, `callback?token`, `"token`.
fn last_name(before: &str) -> &str {
    // Most words are nothing else.
    if before.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        return before;
    }
    let of_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-') || WITHIN_NAMES.contains(&c);
    let before = before.trim_end_matches(|c: char| !c.is_alphanumeric() && !WITHIN_NAMES.contains(&c));
    before.rfind(|c| !of_name(c)).map_or(before, |at| {
        let sign = before[at..].chars().next().map_or(0, char::len_utf8);
        &before[at + sign..]
    })
}

/// Whether the value that follows `before` within a text identifies a user, also as one of `user[name]`.
fn introduces_identity(before: &str) -> bool {
    let name = last_name(before);
    let name = name.trim_matches(|c: char| !c.is_alphanumeric() && !WITHIN_NAMES.contains(&c));
    names_identity(name)
        || name.contains(WITHIN_NAMES)
            && name.split(WITHIN_NAMES).any(|part| {
                let is_escaped = part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
                names_identity(part) || is_escaped && part.get(2..).is_some_and(names_identity)
            })
}

/// Whether `before` ends in the name of a header whose value goes on to the end of the text.
fn introduces_header(before: &str) -> bool {
    let name = last_name(before).trim_matches(|c: char| !c.is_alphanumeric());
    if !name.ends_with(['n', 'N', 'e', 'E', 's', 'S']) {
        return false;
    }
    let name = name.rsplit(['.', '[']).next().unwrap_or_default();
    HEADERS.iter().any(|header| name.eq_ignore_ascii_case(header))
}

/// Whether a whole text, such as an id, is a mail or network address or a token, or holds a URL or a user agent.
pub(super) fn is_identity(text: &str) -> bool {
    !is_plain(text)
        && (is_mail(text)
            || is_address(text)
            || token_at(text).is_some()
            || text.contains("://")
            || text.contains(USER_AGENT_BEGIN)
            || TOKEN_SCHEMES.iter().any(|scheme| {
                text.split_once(' ').is_some_and(|(first, _)| first.eq_ignore_ascii_case(scheme))
            }))
}

/// A text without what identifies a user; the same text where there is nothing of the kind.
pub(super) fn cleaned<'a>(text: Cow<'a, str>, templates: &[Template]) -> Cow<'a, str> {
    if is_plain(&text) {
        return text;
    }
    let clean = Cleaning::new(templates).text(&text);
    if clean == *text { text } else { Cow::Owned(clean) }
}

/// Whether [`cleaned`] leaves a text as it is.
pub(super) fn is_clean(text: &str) -> bool {
    is_plain(text) || Cleaning::new(&[]).text(text) == text
}

/// Whether nothing is left of a text but what stands for that which was removed.
pub(super) fn is_only_removed(text: &str) -> bool {
    text.starts_with(':') && [MAIL, ADDRESS, TOKEN, HIDDEN, USER_AGENT].contains(&text)
}

/// Whether a text has none of the characters by which anything could be known.
fn is_plain(text: &str) -> bool {
    let mut dots = 0;
    text.bytes().all(|byte| {
        dots += usize::from(byte == b'.');
        !matches!(byte, b'@' | b'%' | b':' | b'?' | b'=' | b'/' | ..=b' ' | b'"') && dots < DOTS_OF_TOKEN
    })
}

/// One text on its way through.
struct Cleaning<'t> {
    templates: &'t [Template],
    clean: String,
    /// Whether the next word is the value of a name that identifies a user.
    hides_next: bool,
    /// Whether the last word was such a name.
    named: bool,
    /// Whether the last name was that of a header, whose value is the rest of the text.
    is_header: bool,
    /// Whether the rest of the text is hidden.
    hides_rest: bool,
}

impl<'t> Cleaning<'t> {
    fn new(templates: &'t [Template]) -> Self {
        Self {
            templates,
            clean: String::new(),
            hides_next: false,
            named: false,
            is_header: false,
            hides_rest: false,
        }
    }

    fn text(mut self, text: &str) -> String {
        let (text, agent) = match text.find(USER_AGENT_BEGIN) {
            Some(at) => (&text[..at], USER_AGENT),
            None => (text, ""),
        };
        self.clean.reserve(text.len() + agent.len());
        let mut rest = text;
        while !rest.is_empty() {
            let between = |c: char| c.is_whitespace() || BETWEEN_WORDS.contains(&c);
            let quote =
                self.clean.chars().next_back().filter(|last| self.hides_next && QUOTES.contains(last));
            // What is hidden goes on to where its quote ends.
            let end = quote.map_or_else(|| rest.find(between), |quote| rest.find(quote));
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            self.word(word);
            // Also where there was nothing in the quotes.
            self.hides_next &= quote.is_none();
            if self.hides_rest {
                return self.clean;
            }
            let gap = after.chars().next().map_or(0, char::len_utf8);
            self.clean.push_str(&after[..gap]);
            rest = &after[gap..];
        }
        self.clean.push_str(agent);
        self.clean
    }

    fn word(&mut self, word: &str) {
        let said = word.trim_matches(|c: char| !c.is_alphanumeric() && c != ':' && c != '=');
        if said.is_empty() {
            return self.clean.push_str(word);
        }
        if is_only_removed(said) {
            (self.named, self.hides_next) = (false, false);
            return self.clean.push_str(word);
        }
        // `name: value` and `"name": "value"`, of which the sign between may be a word of its own.
        if matches!(said, ":" | "=") && !word.contains("://") {
            self.hides_next = std::mem::take(&mut self.named);
            return self.clean.push_str(word);
        }
        if std::mem::take(&mut self.named) && said.starts_with([':', '=']) {
            self.clean.push_str(&said[..1]);
            self.hides_next = true;
        }
        let name = said.trim_end_matches([':', '=']);
        let is_scheme = TOKEN_SCHEMES.iter().any(|scheme| name.eq_ignore_ascii_case(scheme));
        if std::mem::replace(&mut self.hides_next, is_scheme) {
            self.hides_rest = self.is_header;
            return self.clean.push_str(HIDDEN);
        }
        (self.named, self.is_header) = (introduces_identity(name), introduces_header(name));
        self.named |= self.is_header;
        self.hides_next |= self.named && said.ends_with([':', '=']);
        self.content(word);
    }

    fn content(&mut self, word: &str) {
        if let Some(at) = word.find("://") {
            let scheme = word[..at].rfind(|c: char| !is_of_scheme(c));
            let begin =
                scheme.map_or(0, |before| before + word[before..].chars().next().map_or(0, char::len_utf8));
            if self.parts(&word[..begin]) {
                return self.clean.push_str(HIDDEN);
            }
            return self.route(&word[begin..]);
        }
        if word.starts_with('/') && word.len() > 1 {
            return self.route(word);
        }
        let query = word.match_indices('?').find(|(at, _)| word[at + 1..].starts_with(char::is_alphanumeric));
        let _ = self.parts(query.map_or(word, |(at, _)| &word[..at]));
    }

    fn route(&mut self, url: &str) {
        let url = url.trim_end_matches([')', ']', '}', '.', ',', ';', ':', '!']);
        let route = route_of(url, self.templates);
        // Nothing new may look like a URL.
        let route = if self.clean.ends_with('/') { &route[1..] } else { &route };
        self.clean.push_str(route);
    }

    /// The parts of a word that has no URL. Whether the last of them is a name whose value is to be hidden.
    fn parts(&mut self, word: &str) -> bool {
        let (mut at, mut field) = (0, 0);
        let (mut hidden, mut named) = (false, false);
        while at < word.len() {
            let end = word[at..].find(BETWEEN_PARTS).map_or(word.len(), |length| at + length);
            let (part, after) = (&word[at..end], &word[end..]);
            let before = &word[field..end];
            let is_header = after.starts_with('=') && introduces_header(before);
            named = is_header || after.starts_with('=') && introduces_identity(before);
            if !hidden {
                hidden = self.part(part, &word[field..at]);
            }
            let Some(sign) = after.chars().next() else { break };
            at = end + sign.len_utf8();
            if BETWEEN_FIELDS.contains(&sign) {
                field = at;
            }
            if matches!(sign, '&' | ';' | ',') {
                hidden = false;
            }
            if self.hides_rest {
                break;
            }
            if !hidden {
                self.clean.push(sign);
            }
            if named && after.len() > 1 && !hidden {
                self.clean.push_str(HIDDEN);
                (hidden, self.hides_rest) = (true, is_header);
            }
        }
        named
    }

    /// A part, and what stands before it in its field. Whether the parts behind it are hidden with it.
    fn part(&mut self, part: &str, before: &str) -> bool {
        let name_end = part.find(':').filter(|at| at + 1 < part.len());
        let name = name_end.map_or("", |at| &part[..at]);
        let is_name_before = name.is_empty() && before.ends_with(']');
        let name = if is_name_before { before } else { name };
        let is_header = introduces_header(name);
        if let Some(at) = name_end.filter(|_| is_header || introduces_identity(name)) {
            self.clean.push_str(&part[..=at]);
            self.clean.push_str(HIDDEN);
            self.hides_rest = is_header;
            return is_header;
        }
        if let Some(at) = escaped_value_at(part) {
            self.clean.push_str(&part[..at]);
            self.clean.push_str(HIDDEN);
            return true;
        }
        if is_address(part) {
            self.clean.push_str(ADDRESS);
        } else if let Some(at) = token_at(part) {
            self.clean.push_str(&part[..at]);
            self.clean.push_str(TOKEN);
        } else if let Some(before) = before_mail(part) {
            self.clean.push_str(before);
            self.clean.push_str(MAIL);
        } else {
            self.clean.push_str(part);
        }
        false
    }
}

fn is_of_scheme(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')
}

/// What stands before a mail address, such as `mailto:`; none where there is no mail address.
fn before_mail(part: &str) -> Option<&str> {
    let begin = part.find(['@', '%']).and_then(|sign| part[..sign].rfind(':')).map_or(0, |colon| colon + 1);
    is_mail(&part[begin..]).then(|| &part[..begin])
}

fn is_mail(text: &str) -> bool {
    let text = text.trim_end_matches(['.', ':', '?']);
    let at = text.split_once('@').or_else(|| text.split_once("%40"));
    at.is_some_and(|(user, host)| {
        let domain = host.rsplit_once('.').map_or("", |(_, domain)| domain);
        !user.is_empty()
            && !text.contains(char::is_whitespace)
            && domain.len() > 1
            && domain.chars().all(char::is_alphabetic)
    })
}

/// An IP address, with or without port.
fn is_address(text: &str) -> bool {
    let text = text.trim_end_matches('.');
    let v4 = |text: &str| text.parse::<Ipv4Addr>().is_ok();
    if text.bytes().filter(|byte| *byte == b'.').count() == 3 {
        return v4(text)
            || text.split_once(':').is_some_and(|(host, port)| v4(host) && port.parse::<u16>().is_ok());
    }
    // `a::b` is a name in many languages: an address has a digit.
    let host = text.split('%').next().unwrap_or_default();
    host.bytes().filter(|byte| *byte == b':').count() > 1
        && host.bytes().any(|byte| byte.is_ascii_digit())
        && host.parse::<Ipv6Addr>().is_ok()
}

/// Where a value begins that identifies a user in what a URL has escaped, `token%3Dabc`.
fn escaped_value_at(part: &str) -> Option<usize> {
    let signs = part.match_indices('%').map(|(at, _)| at);
    let mut values = signs.filter(|at| {
        part.as_bytes()[*at..].get(1..3).is_some_and(|escaped| escaped.eq_ignore_ascii_case(b"3D"))
    });
    let at = values.find(|at| introduces_identity(&part[..*at]))?;
    Some(at + 3)
}

/// Where a JSON Web Token begins, to the end of a part.
fn token_at(part: &str) -> Option<usize> {
    let at = part.find(TOKEN_BEGIN)?;
    let is_begin = !part[..at].ends_with(char::is_alphanumeric);
    let dots = part[at..].bytes().filter(|byte| *byte == b'.').count();
    (is_begin && dots >= DOTS_OF_TOKEN).then_some(at)
}

#[cfg(test)]
mod tests;
