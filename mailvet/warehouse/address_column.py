"""Which column holds the addresses, by its name.

As exports of common tools call it, in the languages that people name their columns in.
"""

# ruff: noqa: RUF001  (letters of other scripts are meant)

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

__all__ = ["is_address_column", "likely_columns"]

# Words for an e-mail address, as `_folded` writes them: small letters without accents, one blank between words.
# Afrikaans to Vietnamese; the sources are the column headings of the tools' own translated exports (Google Contacts,
# Outlook, Thunderbird, HubSpot, Mailchimp).
_WORDS = (
    r"e ?mails?",
    r"mails?",
    r"e ?mail ?adress[ea]n?",
    r"mail ?adress[ea]n?",
    r"e ?mail ?address(es)?",
    r"mail ?address(es)?",
    r"e ?mail ?addr",
    r"(adresse |adresse de |adres |adresa |adresa de |adrese )?(e ?mail|courriel|messagerie|e ?posta)",
    r"courriels?",
    r"adresse electronique",
    r"adresse mail",
    r"correos?( electronicos?)?",
    r"direccion de correo( electronico)?",
    r"(endereco de |endereco )?(e ?mail|correio eletronico|correio electronico)",
    r"indirizz[oi] (e ?mail|di posta( elettronica)?)",
    r"posta elettronica",
    r"e ?mail ?adres(sen)?",
    r"mail ?adres",
    r"e ?post(adress)?(er)?",
    r"e ?post ?adresse[rn]?",
    r"mail ?adresse[rn]?",
    r"sahkoposti(osoite)?",
    r"e ?posti?",
    r"e ?pasts?",
    r"(el|elektroninis) pastas",
    r"(adres )?(e ?mail|poczty elektronicznej)",
    r"e ?mailova adresa",
    r"e ?mail ?cim",
    r"e ?posta( adresi| cimi| naslov| adresa)?",
    r"eposta( adresi)?",
    r"netfang",
    r"surel",
    r"alamat (e ?mail|surel)",
    r"(dia chi )?(e ?mail|thu dien tu)",
    r"(электронная )?почта",
    r"(адрес )?(эл|электронной|электроннои) почты",
    r"эл почта",
    r"(адрес )?(e ?mail|имеил)( адрес)?",
    r"имеил( адрес)?",
    r"(електронна )?пошта",
    r"(адреса )?електронної пошти",
    r"(адреса )?електронноі пошти",
    r"е пошта",
    r"(διευθυνση )?(e ?mail|ηλεκτρονικου ταχυδρομειου|ηλεκτρονικο ταχυδρομειο)",
    r"メール(アドレス)?",
    r"e ?メール(アドレス)?",
    r"電子メール(アドレス)?",
    r"(电子)?(邮件|邮箱)(地址)?",
    r"电邮(地址)?",
    r"(電子)?(郵件|郵箱|信箱)(地址)?",
    r"電郵(地址)?",
    r"(이메일|전자 ?메일|메일)( ?주소)?",
    r"อีเมล(ล)?",
    r"(البريد|بريد) (الالكتروني|الكتروني)",
    r"(עדכון )?(דואר אלקטרוני|דוא ?ל|אימייל|מייל)",
    r"(ईमेल|ई मेल)( पता)?",
    r"(ایمیل|پست الکترونیک)",
)
_MARKS = re.compile(r"""[\s_\-–—.:;,/\\\[\](){}'"’`|#*+<>@״׳]+""")
_ALONE = re.compile("|".join(f"(?:{word})" for word in _WORDS))

# What stands beside the word in a column of addresses: whose address, which one, and the words of exports.
_BESIDE = re.compile(
    r"\d+|value|wert|valeur|valor|the|de|do|da|del|della|des|du|di|des|der|von|van|"
    r"user|users|usr|customer|customers|client|clients|cliente|contact|contacts|contato|contatto|contacto|kontakt|kunde|"
    r"kunden|kundin|lead|leads|member|members|mitglied|subscriber|subscribers|abonnent|abonne|recipient|recipients|"
    r"person|people|personal|private|privat|privee|prive|perso|work|business|job|office|home|company|firma|gesch[a]?ftlich|"
    r"primary|main|default|principal|principale|haupt|secondary|other|account|login|owner|billing|shipping|order|buyer|"
    r"seller|applicant|employee|donor|guest|patient|student|teacher|parent|attendee|participant|respondent|"
    r"payer|paypal|profile|properties|fields|data|raw|clean|cleaned|normalized|original|new|current|acct|cust|c|"
    r"from|to|sender|reply"
)


def _folded(name: str) -> str:
    """Small letters without accents; blanks between words, also of `camelCase` and before digits; marks are blanks."""
    text = name.strip().replace("E-Mail", "email").replace("E-mail", "email")
    split = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=\d)", " ", text)
    # Accents of Latin, Greek, Cyrillic and Arabic letters; those of other scripts make another letter.
    bare = re.sub("[\u0300-\u036f\u064b-\u065f]", "", unicodedata.normalize("NFKD", split.casefold())).replace("đ", "d")
    return " ".join(_MARKS.sub(" ", unicodedata.normalize("NFC", bare)).split())


def _likeness(name: str) -> int:
    """2: the name says an e-mail address and no more; 1: whose or which one too; 0: something else."""
    folded = _folded(name)
    if _ALONE.fullmatch(folded):
        return 2
    words = folded.split()
    for start in range(len(words)):
        for end in range(len(words), start, -1):
            beside = words[:start] + words[end:]
            if _ALONE.fullmatch(" ".join(words[start:end])) and all(_BESIDE.fullmatch(word) for word in beside):
                return 1
    return 0


def is_address_column(name: str) -> bool:
    """Whether a column of this name holds e-mail addresses."""
    return _likeness(name) > 0


def likely_columns(names: Sequence[str]) -> list[str]:
    """The columns that may be meant.

    Those whose name says no more than an e-mail address, else those that also say whose or which.

    >>> likely_columns(["id", "User_Email", "email_opt_in"])
    ['User_Email']
    """
    likeness = {name: _likeness(name) for name in names}
    best = max(likeness.values(), default=0)
    return [name for name in names if best and likeness[name] == best]
