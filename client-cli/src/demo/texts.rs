//! What is said in the story: the guide's own words about Ella, made-up people, and what must never be found readable.

pub const CHILD: &str = "Ella Fjellstad";
pub const HOMEWORK: &str = "Ella arbeider med lekser";
pub const GOAL: &str = "Ella arbeider med lekser man-torsdag fra kl.17-18 og ber foresatte om hjelp til å løse oppgavene \
                    dersom hun står fast.";
pub const AT_SCHOOL: &str = "Ella gjennomgår ukeplanen sammen med lærer hver mandag i første økt.";
pub const AT_HOME: &str = "Foresatte sitter sammen med Ella når hun gjør lekser.";
pub const BY_ELLA: &str = "Ella ber foresatte om hjelp når hun står fast med oppgaver.";
pub const ABSENCE: &str = "Ella kommer på skolen hver dag";
pub const ABSENCE_MEASURE: &str = "Ella sitter nærmest døra og kommer 15 minutter etter ringetid.";
pub const BY_TEACHER: &str = "I dag fant Ella fram bøkene helt av seg selv.";
pub const BY_MOTHER: &str = "Ella satte seg ved kjøkkenbordet klokka fem, uten at noen sa det.";
pub const NEW_TEXT: &str = "Ella gjennomgår ukeplanen sammen med lærer hver mandag og torsdag.";
pub const AFTERWARDS: &str = "Ella ba om hjelp to ganger denne uka.";
pub const IN_BETWEEN: &str = "Ella fortalte selv om den nye skolen i dag.";
pub const WELCOME: &str = "Ella hilste på klassen og ville vise boka si.";
pub const NEW_LEADER: &str = "Kari Haukås";
pub const NEW_HOLDER: &str = "Silje Tveit";
pub const FORGED: &str = "Falsk setning som ingen har lov til å skrive.";
pub const CONTROL: &str = "Prøve: slik ser en ekte setning ut på samme vei.";
pub const MARKER: &str = "plantet-blåbær-4711";
pub const NAMES: [&str; 6] =
    ["Lise Brattbakk", "Tone Aasheim", "Ingrid Fjellstad", "Magnus Fjellstad", "Petter Granlund", "Randi Myrvold"];

/// What must never lie readable outside the homes.
pub fn secrets() -> Vec<&'static str> {
    let texts = [
        CHILD,
        HOMEWORK,
        GOAL,
        AT_SCHOOL,
        AT_HOME,
        BY_ELLA,
        ABSENCE,
        ABSENCE_MEASURE,
        BY_TEACHER,
        BY_MOTHER,
        NEW_TEXT,
        AFTERWARDS,
        IN_BETWEEN,
        WELCOME,
        NEW_LEADER,
        NEW_HOLDER,
        FORGED,
        "Fjellstad",
        "2015-03-12",
    ];
    texts.into_iter().chain(NAMES).collect()
}
