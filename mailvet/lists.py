from functools import cache
@cache
def suggestion_targets() -> dict[str, bool]:
    return {"gmail.com": True, "yahoo.com": True,"hotmail.com":True,"web.de":False,"yahoo.co.uk":True}
