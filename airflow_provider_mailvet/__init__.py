"""Airflow provider of mailvet: operators, hook and page for verifying e-mail addresses where the data lives."""
