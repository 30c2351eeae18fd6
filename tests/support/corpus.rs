//! A corpus of small JSON exchanges of a shop's order service, generated from a fixed seed.
//!
//! The corpus compresses like real traffic. Values that are unique in real traffic are random: ids,
//! trace ids (in the request and again in the response), entity tags, times, prices, amounts, and
//! names and words from lists. Header names, hosts and user agents repeat. The average exchange has
//! 1,226 bytes of HTTP, including heads.

use std::{
    fmt::Write,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use tower_traffic::Exchange;

const FIRST: [&str; 48] = [
    "Ada", "Aisha", "Amara", "Anders", "Bao", "Beatriz", "Bogdan", "Carmen", "Chidi", "Dagny",
    "Deniz", "Elif", "Emeka", "Farah", "Fiona", "Giulia", "Hana", "Haruto", "Ines", "Ivan",
    "Jamal", "Jing", "Jonas", "Kavya", "Kofi", "Lars", "Leila", "Liam", "Lucía", "Mateo", "Mei",
    "Milan", "Nadia", "Noah", "Olga", "Omar", "Priya", "Rafael", "Ravi", "Rosa", "Sana", "Sven",
    "Tomás", "Uma", "Vera", "Wanjiru", "Yusuf", "Zoë",
];

const LAST: [&str; 48] = [
    "Abara",
    "Ahmed",
    "Andersen",
    "Bauer",
    "Bianchi",
    "Chen",
    "Costa",
    "Da Silva",
    "Dubois",
    "Eriksson",
    "Fernández",
    "Fischer",
    "Garcia",
    "Gupta",
    "Haddad",
    "Hansen",
    "Horvat",
    "Ito",
    "Ivanova",
    "Jansen",
    "Kamau",
    "Kaya",
    "Kim",
    "Kowalski",
    "Kumar",
    "Larsen",
    "Li",
    "López",
    "Mensah",
    "Moreau",
    "Müller",
    "Nakamura",
    "Nguyen",
    "Novák",
    "Okafor",
    "Olsen",
    "Papadopoulos",
    "Patel",
    "Petrov",
    "Rossi",
    "Sato",
    "Schmidt",
    "Silva",
    "Singh",
    "Tanaka",
    "Weber",
    "Yılmaz",
    "Zhang",
];

const PRODUCTS: [&str; 40] = [
    "Anvil, cast iron",
    "Apron, linen",
    "Bicycle bell",
    "Bread knife",
    "Brass hinge",
    "Candle holder",
    "Camping stove",
    "Carafe 1 l",
    "Chisel 12 mm",
    "Coffee grinder",
    "Compass",
    "Cutting board",
    "Desk lamp",
    "Door mat",
    "Espresso cup",
    "Field notebook",
    "Fountain pen",
    "Garden shears",
    "Hammock",
    "Hand saw",
    "Ink, black 50 ml",
    "Kettle 1.7 l",
    "Ladder 3 m",
    "Mason jar",
    "Measuring tape",
    "Mortar and pestle",
    "Oil lamp",
    "Paint brush",
    "Pepper mill",
    "Picture frame",
    "Pruning saw",
    "Raincoat",
    "Rope 20 m",
    "Salad bowl",
    "Screwdriver set",
    "Soap, olive",
    "Tea towel",
    "Thermos flask",
    "Toolbox",
    "Wool blanket",
];

const STREETS: [&str; 16] = [
    "Abbey Road",
    "Acacia Avenue",
    "Bahnhofstraße",
    "Calle Mayor",
    "Church Lane",
    "Dorfstraße",
    "High Street",
    "Hauptstraße",
    "Jalan Besar",
    "Kungsgatan",
    "Marktplatz",
    "Mill Lane",
    "Rue de la Paix",
    "Station Road",
    "Via Roma",
    "Zeedijk",
];

const CITIES: [&str; 16] = [
    "Accra",
    "Amsterdam",
    "Bergen",
    "Berlin",
    "Bologna",
    "Cork",
    "Gdańsk",
    "Kochi",
    "Leeds",
    "Lyon",
    "Nairobi",
    "Osaka",
    "Porto",
    "Uppsala",
    "Valencia",
    "Zagreb",
];

const WORDS: [&str; 32] = [
    "please",
    "leave",
    "the",
    "parcel",
    "with",
    "a",
    "neighbour",
    "ring",
    "twice",
    "gift",
    "wrap",
    "back",
    "door",
    "is",
    "open",
    "until",
    "six",
    "call",
    "before",
    "delivery",
    "second",
    "floor",
    "no",
    "lift",
    "beware",
    "of",
    "dog",
    "invoice",
    "to",
    "office",
    "thank",
    "you",
];

const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
    "shop-ios/7.14.2 (iPhone; iOS 18.0.1; Scale/3.00)",
    "okhttp/4.12.0",
    "python-requests/2.32.3",
    "Go-http-client/2.0",
];

const STATES: [&str; 6] = ["new", "paid", "packed", "shipped", "delivered", "returned"];

/// The first exchanges of the corpus.
pub fn exchanges(count: usize) -> Vec<Exchange> {
    let mut corpus = Corpus {
        state: 0x5eed,
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_219_199),
    };
    (0..count).map(|_| corpus.exchange()).collect()
}

/// The length of an exchange as HTTP/1.1 text.
pub fn http_len(exchange: &Exchange) -> usize {
    let response = exchange.response.as_ref().unwrap();
    let fields = |headers: &tower_traffic::HeaderList| -> usize {
        headers.iter().map(|(n, v)| n.len() + v.len() + 4).sum()
    };
    let line = format!(
        "{} {} HTTP/1.1\r\n\r\n",
        exchange.request.method, exchange.request.uri
    );
    let status = format!("HTTP/1.1 {}\r\n\r\n", response.status);
    line.len()
        + status.len()
        + fields(&exchange.request.headers)
        + fields(&response.headers)
        + exchange.request.body.len()
        + response.body.len()
}

struct Corpus {
    state: u64,
    now: SystemTime,
}

impl Corpus {
    /// `SplitMix64`, whose output passes the usual tests of randomness.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random() % end
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    fn hex(&mut self, digits: usize) -> String {
        let mut text = String::new();
        while text.len() < digits {
            let _ = write!(text, "{:016x}", self.random());
        }
        text.truncate(digits);
        text
    }

    fn uuid(&mut self) -> String {
        let hex = self.hex(32);
        format!(
            "{}-{}-4{}-a{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[13..16],
            &hex[17..20],
            &hex[20..]
        )
    }

    fn price(&mut self) -> String {
        format!("{}.{:02}", 1 + self.below(400), self.below(100))
    }

    /// A time in the last 90 days.
    fn time(&mut self) -> String {
        let before = Duration::from_millis(self.below(90 * 86_400_000));
        humantime(self.now - before)
    }

    fn note(&mut self) -> String {
        let words: Vec<_> = (0..3 + self.below(8)).map(|_| self.pick(&WORDS)).collect();
        words.join(" ")
    }

    fn item(&mut self) -> String {
        format!(
            r#"{{"sku":"{}-{:05}","name":"{}","quantity":{},"unit_price":{}}}"#,
            self.pick(&["HH", "GD", "KT", "OF"]),
            self.below(100_000),
            self.pick(&PRODUCTS),
            1 + self.below(9),
            self.price(),
        )
    }

    fn items(&mut self) -> String {
        let items: Vec<_> = (0..=self.below(2)).map(|_| self.item()).collect();
        items.join(",")
    }

    fn address(&mut self) -> String {
        format!(
            r#"{{"street":"{} {}","city":"{}","postcode":"{:05}"}}"#,
            self.pick(&STREETS),
            1 + self.below(200),
            self.pick(&CITIES),
            self.below(100_000),
        )
    }

    fn customer(&mut self) -> String {
        let (first, last) = (self.pick(&FIRST), self.pick(&LAST));
        format!(
            r#"{{"id":{},"name":"{first} {last}","email":"{}{}@example.{}"}}"#,
            self.below(2_000_000),
            first.to_lowercase(),
            self.below(1000),
            self.pick(&["com", "org", "net"]),
        )
    }

    fn order(&mut self, id: &str) -> String {
        format!(
            r#"{{"id":"{id}","status":"{}","created_at":"{}","updated_at":"{}","customer":{},"items":[{}],"ship_to":{},"total":{},"note":"{}"}}"#,
            self.pick(&STATES),
            self.time(),
            self.time(),
            self.customer(),
            self.items(),
            self.address(),
            self.price(),
            self.note(),
        )
    }

    fn exchange(&mut self) -> Exchange {
        let pause = self.below(40_000_000);
        self.now += Duration::from_nanos(pause);
        let id = self.uuid();
        let (method, uri, sent, status, answer) = match self.below(10) {
            0..=4 => (
                Method::GET,
                format!("/v1/orders/{id}"),
                String::new(),
                StatusCode::OK,
                self.order(&id),
            ),
            5 | 6 => {
                let sent = format!(
                    r#"{{"customer_id":{},"items":[{}],"note":"{}"}}"#,
                    self.below(2_000_000),
                    self.items(),
                    self.note(),
                );
                (
                    Method::POST,
                    "/v1/orders".to_owned(),
                    sent,
                    StatusCode::CREATED,
                    self.order(&id),
                )
            }
            7 => {
                let sent = format!(r#"{{"status":"{}"}}"#, self.pick(&STATES));
                (
                    Method::PATCH,
                    format!("/v1/orders/{id}"),
                    sent,
                    StatusCode::OK,
                    self.order(&id),
                )
            }
            8 => {
                let uri = format!(
                    "/v1/customers/{}?include=orders&page={}",
                    self.below(2_000_000),
                    self.below(9)
                );
                let answer = format!(
                    r#"{{"customer":{},"orders":[{}],"next":null}}"#,
                    self.customer(),
                    self.order(&id)
                );
                (Method::GET, uri, String::new(), StatusCode::OK, answer)
            }
            _ => {
                let answer = format!(
                    r#"{{"error":{{"code":"order_not_found","message":"There is no order {id}","trace":"{}"}}}}"#,
                    self.hex(16)
                );
                (
                    Method::GET,
                    format!("/v1/orders/{id}"),
                    String::new(),
                    StatusCode::NOT_FOUND,
                    answer,
                )
            }
        };
        let trace = self.hex(32);
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header("host", "orders.shop.example")
            .header("user-agent", self.pick(&AGENTS))
            .header("accept", "application/json")
            .header("accept-encoding", "gzip, deflate, br")
            .header("authorization", "[redacted]")
            .header("traceparent", format!("00-{trace}-{}-01", self.hex(16)))
            .header("x-forwarded-for", format!("203.0.113.{}", self.below(256)));
        if !sent.is_empty() {
            request = request
                .header("content-type", "application/json")
                .header("content-length", sent.len());
        }
        let response = Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .header("content-length", answer.len())
            .header("cache-control", "private, no-cache")
            .header("etag", format!("\"{}\"", self.hex(16)))
            .header("strict-transport-security", "max-age=31536000")
            .header("x-content-type-options", "nosniff")
            .header("vary", "accept-encoding, authorization")
            .header("x-ratelimit-remaining", self.below(5000))
            .header("x-request-id", trace)
            .header("date", http_date(self.now))
            .body(Bytes::from(answer));
        let mut exchange =
            Exchange::new(request.body(Bytes::from(sent)).unwrap(), response.unwrap());
        exchange.began = self.now;
        let to_head = Duration::from_nanos(400_000 + self.below(30_000_000));
        exchange.time_to_head = Some(to_head);
        exchange.time_to_end = to_head + Duration::from_nanos(20_000 + self.below(900_000));
        exchange
    }
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

/// Days since 1970 as year, month and day (Gregorian).
fn date(mut days: u64) -> (u64, usize, u64) {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month, days + 1)
}

fn humantime(time: SystemTime) -> String {
    let since = since_epoch(time);
    let seconds = since.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let (h, m, s) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!(
        "{year}-{:02}-{day:02}T{h:02}:{m:02}:{s:02}.{:03}Z",
        month + 1,
        since.subsec_millis()
    )
}

fn http_date(time: SystemTime) -> String {
    let seconds = since_epoch(time).as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let weekday =
        ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(seconds / 86_400 % 7) as usize];
    let month = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ][month];
    let (h, m, s) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{weekday}, {day:02} {month} {year} {h:02}:{m:02}:{s:02} GMT")
}
