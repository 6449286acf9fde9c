"""Names of invented people: frequent given and family names of twelve languages, and the local parts made of them."""

# ruff: noqa: RUF001  (letters of other scripts are meant)

from __future__ import annotations

import random
import unicodedata
from dataclasses import dataclass

__all__ = ["LANGUAGES", "Language", "Person", "fold", "local_part", "person"]


@dataclass(frozen=True)
class Language:
    """Names of one language, and the countries their bearers live in."""

    code: str
    countries: tuple[str, ...]
    given: tuple[str, ...]
    family: tuple[str, ...]
    latin_given: tuple[str, ...] = ()
    """In Latin letters, in the order of `given`, where that is another script."""
    latin_family: tuple[str, ...] = ()


@dataclass(frozen=True)
class Person:
    """A person's name, as written at home and in ASCII."""

    name: str
    given: str
    family: str
    language: str
    country: str


def _language(
    code: str, countries: str, given: str, family: str, latin_given: str = "", latin_family: str = ""
) -> Language:
    return Language(
        code,
        tuple(countries.split()),
        tuple(given.split()),
        tuple(family.split()),
        tuple(latin_given.split()),
        tuple(latin_family.split()),
    )


LANGUAGES = {
    entry.code: entry
    for entry in (
        _language(
            "en",
            "US GB US IE CA AU",
            "James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara Richard "
            "Susan "
            "Joseph Jessica Thomas Sarah Daniel Karen Emily Oliver Charlotte Harry Amelia George",
            "Smith Johnson Williams Brown Jones Miller Davis Wilson Anderson Taylor Thomas Moore Jackson "
            "Martin Lee "
            "Thompson White Harris Clark Lewis Robinson Walker Young Allen King Wright Scott Green Baker "
            "O'Brien",
        ),
        _language(
            "de",
            "DE DE DE AT CH",
            "Anna Lukas Leon Marie Paul Sophie Jonas Lena Felix Laura Maximilian Katharina Jürgen Günther "
            "Käthe Björn "
            "Sabine Thomas Andrea Stefan Petra Wolfgang Ursula Heike Dieter Jörg",
            "Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer "
            "Richter "
            "Klein Wolf Schröder Neumann Schwarz Zimmermann Braun Krüger Hofmann Groß Weiß Lange Vogel "
            "Köhler",
        ),
        _language(
            "fr",
            "FR FR FR BE CH CA",
            "Gabriel Léa Louis Emma Jules Chloé Hugo Manon Arthur Camille Raphaël Inès Lucas Zoé Nathan "
            "Hélène "
            "François Aurélie Benoît Céline Étienne Margaux Thierry Sylvie Loïc Noémie",
            "Martin Bernard Dubois Thomas Robert Richard Petit Durand Leroy Moreau Simon Laurent Lefèvre "
            "Michel "
            "Garcia David Bertrand Roux Vincent Fournier Morel Girard André Mercier Dupont Lambert Bonnet "
            "Gauthier",
        ),
        _language(
            "es",
            "ES ES MX AR CO",
            "Lucía Hugo Martina Mateo Sofía Martín Paula Leo Julia Daniel Valeria Alejandro José María Íñigo "
            "Begoña "
            "Andrés Ángela Raúl Inés Óscar Nuria Ramón Pilar Jesús Mónica",
            "García Rodríguez González Fernández López Martínez Sánchez Pérez Gómez Martín Jiménez Ruiz "
            "Hernández "
            "Díaz Moreno Muñoz Álvarez Romero Alonso Gutiérrez Navarro Torres Domínguez Vázquez Ramos Núñez",
        ),
        _language(
            "it",
            "IT IT IT CH",
            "Leonardo Sofia Francesco Giulia Alessandro Aurora Lorenzo Alice Mattia Ginevra Andrea Emma "
            "Gabriele "
            "Giorgia Niccolò Chiara Marco Francesca Luca Martina Giuseppe Elena Davide Silvia",
            "Rossi Russo Ferrari Esposito Bianchi Romano Colombo Ricci Marino Greco Bruno Gallo Conti Costa "
            "Giordano "
            "Mancini Rizzo Lombardi Moretti Barbieri Fontana Santoro Mariani Rinaldi Caruso Ferrara",
        ),
        _language(
            "pt",
            "PT BR BR",
            "João Maria Rodrigo Leonor Francisco Matilde Afonso Beatriz Tomás Carolina Duarte Mariana "
            "Gonçalo Inês "
            "Thiago Júlia Rafael Larissa Felipe Letícia André Patrícia",
            "Silva Santos Ferreira Pereira Oliveira Costa Rodrigues Martins Jesus Sousa Fernandes Gonçalves "
            "Gomes "
            "Lopes Marques Alves Almeida Ribeiro Pinto Carvalho Teixeira Araújo Conceição",
        ),
        _language(
            "pl",
            "PL PL PL GB",
            "Antoni Zuzanna Jan Julia Aleksander Zofia Franciszek Hanna Jakub Maja Michał Łukasz Małgorzata "
            "Paweł "
            "Agnieszka Tomasz Katarzyna Grzegorz Elżbieta Sławomir Bożena Rafał",
            "Nowak Kowalski Wiśniewski Wójcik Kowalczyk Kamiński Lewandowski Zieliński Szymański Woźniak "
            "Dąbrowski "
            "Kozłowski Jankowski Mazur Wojciechowski Kwiatkowski Krawczyk Kaczmarek Piotrowski Grabowski",
        ),
        _language(
            "sv",
            "SE SE FI NO DK",
            "Lars Karin Anders Anna Johan Eva Per Maria Nils Kristina Åsa Björn Sören Jörgen Malin Göran "
            "Märta Håkan "
            "Linnéa Oskar Elsa Signe",
            "Andersson Johansson Karlsson Nilsson Eriksson Larsson Olsson Persson Svensson Gustafsson "
            "Lindström "
            "Lindqvist Bergström Sjöberg Åkesson Öberg Nyström Hansen Sørensen Virtanen",
        ),
        _language(
            "tr",
            "TR TR DE",
            "Mehmet Ayşe Mustafa Fatma Ahmet Emine Ali Hatice Hüseyin Zeynep İbrahim Elif Çağlar Şule Gökhan "
            "Özlem "
            "Yiğit Büşra Emre Tuğba",
            "Yılmaz Kaya Demir Çelik Şahin Yıldız Yıldırım Öztürk Aydın Özdemir Arslan Doğan Kılıç Aslan "
            "Çetin Kara "
            "Koç Kurt Özkan Şimşek",
        ),
        _language(
            "ru",
            "RU RU KZ",
            "Александр Мария Дмитрий Анна Иван Елена Сергей Ольга Алексей Наталья Андрей Татьяна Михаил "
            "Ирина Юрий "
            "Светлана",
            "Иванов Смирнов Кузнецов Попов Васильев Петров Соколов Михайлов Новиков Фёдоров Морозов Волков "
            "Алексеев "
            "Лебедев Семёнов Егоров",
            "Aleksandr Maria Dmitry Anna Ivan Elena Sergey Olga Alexey Natalia Andrey Tatiana Mikhail Irina "
            "Yury "
            "Svetlana",
            "Ivanov Smirnov Kuznetsov Popov Vasiliev Petrov Sokolov Mikhailov Novikov Fedorov Morozov Volkov "
            "Alekseev Lebedev Semenov Egorov",
        ),
        _language(
            "zh",
            "CN CN SG TW",
            "伟 芳 娜 敏 静 丽 强 磊 军 洋 勇 艳 杰 涛 明 超",
            "王 李 张 刘 陈 杨 赵 黄 周 吴 徐 孙 胡 朱 高 林",
            "Wei Fang Na Min Jing Li Qiang Lei Jun Yang Yong Yan Jie Tao Ming Chao",
            "Wang Li Zhang Liu Chen Yang Zhao Huang Zhou Wu Xu Sun Hu Zhu Gao Lin",
        ),
        _language(
            "ja",
            "JP JP JP",
            "翔太 美咲 大輔 陽子 健太 由美 拓也 恵子 直樹 智子 蓮 葵 陽菜 悠真",
            "佐藤 鈴木 高橋 田中 伊藤 渡辺 山本 中村 小林 加藤 吉田 山田 佐々木 山口",
            "Shota Misaki Daisuke Yoko Kenta Yumi Takuya Keiko Naoki Tomoko Ren Aoi Hina Yuma",
            "Sato Suzuki Takahashi Tanaka Ito Watanabe Yamamoto Nakamura Kobayashi Kato Yoshida Yamada "
            "Sasaki "
            "Yamaguchi",
        ),
    )
}

_LETTERS = str.maketrans(
    {
        "ß": "ss",
        "ä": "ae",
        "ö": "oe",
        "ü": "ue",
        "ø": "o",
        "ł": "l",
        "ı": "i",
        "æ": "ae",
        "å": "a",
        "'": "",
        "đ": "d",
    }
)


def fold(text: str) -> str:
    """A Latin name in lower-case ASCII letters, as in addresses: Jürgen -> juergen, Łukasz -> lukasz."""
    lowered = unicodedata.normalize("NFC", text.replace("İ", "I").lower()).translate(_LETTERS)
    plain = unicodedata.normalize("NFKD", lowered)
    return "".join(letter for letter in plain if letter.isascii() and letter.isalnum())


def person(rng: random.Random, language: str) -> Person:
    """A person who speaks that language."""
    source = LANGUAGES[language]
    first, last = rng.randrange(len(source.given)), rng.randrange(len(source.family))
    given, family = source.given[first], source.family[last]
    name = f"{family}{given}" if language in ("zh", "ja") else f"{given} {family}"
    return Person(
        name,
        fold(source.latin_given[first] if source.latin_given else given),
        fold(source.latin_family[last] if source.latin_family else family),
        language,
        rng.choice(source.countries),
    )


def local_part(rng: random.Random, who: Person, *, business: bool) -> str:
    """A local part for a person: at work by the company's pattern, elsewhere whatever was still free."""
    given, family = who.given, who.family
    if business:
        return rng.choice(
            (f"{given}.{family}", f"{given}.{family}", f"{given[0]}.{family}", f"{given[0]}{family}", given)
        )
    year = rng.randrange(1955, 2008)
    return rng.choice(
        (
            f"{given}.{family}",
            f"{given}{family}",
            f"{given}.{family}{year % 100:02}",
            f"{given}{year}",
            f"{given}_{family}",
            f"{given[0]}{family}{rng.randrange(1, 999)}",
            f"{family}.{given}{rng.randrange(1, 99)}",
            f"{given}{family}{rng.randrange(1, 9999)}",
        )
    )
