"""The column of addresses is found by the names that people and tools give it."""

from __future__ import annotations

import pytest

from mailvet.warehouse.address_column import is_address_column, likely_columns


@pytest.mark.parametrize(
    "name",
    [
        "email",
        "E-Mail",
        "e_mail",
        "EMAIL ADDRESS",
        "emailAddress",
        "mail",
        "user_email",
        "E-mail 1 - Value",
        "Email 2",
        "Mailadresse",
        "E-Mail-Adresse",
        "kunden_email",
        "adresse e-mail",
        "Courriel",
        "Adresse électronique",
        "Correo electrónico",
        "Dirección de correo electrónico",
        "Indirizzo email",
        "Posta elettronica",
        "E-mail do cliente",
        "Endereço de e-mail",
        "メールアドレス",
        "电子邮箱",
        "電子郵件",
        "이메일 주소",
        "Электронная почта",
        "Эл. почта",
        "Електронна пошта",
        "Имейл",
        "Ηλεκτρονικό ταχυδρομείο",
        "البريد الإلكتروني",
        "אימייל",
        "อีเมล",
        "Địa chỉ email",
        "Alamat email",
        "Adres e-mail",
        "E-mailová adresa",
        "E-mail cím",
        "Adresă de e-mail",
        "E-posta",
        "E-postadress",
        "E-mailadres",
        "Sähköposti",
        "customer.email",
        "properties.email",
        "contact[email]",
    ],
)
def test_names_of_exports_and_languages_are_recognised(name: str) -> None:
    assert is_address_column(name)


@pytest.mark.parametrize(
    "name",
    [
        "id",
        "name",
        "email_opt_in",
        "email_status",
        "email_sent_at",
        "email_domain",
        "email_hash",
        "emails_sent",
        "mailvet_status",
        "mailing address",
        "Mailing Street",
        "mailing_list",
        "Post",
        "postcode",
        "e",
        "to",
        "消息",
        "email_note",
        "Email Verified",
        "last_email_date",
        "telefon",
        "",
    ],
)
def test_columns_about_mail_are_none_of_addresses(name: str) -> None:
    assert not is_address_column(name)


def test_the_plainest_name_is_the_likeliest() -> None:
    assert likely_columns(["id", "work_email", "email"]) == ["email"]
    assert likely_columns(["id", "work_email", "email_note"]) == ["work_email"]
    assert likely_columns(["work_email", "home_email"]) == ["work_email", "home_email"]
    assert likely_columns(["id"]) == []
