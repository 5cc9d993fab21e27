"""Makes the first user of a fresh server by the link that it printed, and those who ask: him, logged in, and an API
token that may see the status only. Prints the headers that show them, a line each, with tabs between. And makes a user
and nothing else who may be changed and deleted, "victim".

usage: people.py URL CERTIFICATE SET_UP_TOKEN
"""

import sys

import requests

PASSWORD = "correct horse battery staple"


def main(url, certificate, set_up_token):
    session = requests.Session()
    # The server made its certificate itself. What the environment says of certificates would go before it.
    session.trust_env = False
    session.verify = certificate

    def ask(method, path, body):
        answer = session.request(method, url + "/api/v2" + path, json=body, timeout=60)
        if not answer.ok:
            sys.exit(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    first = {"token": set_up_token, "name": "admin", "password": PASSWORD}
    csrf = ask("POST", "/setup", first)["csrf"]
    session.headers["x-csrf-token"] = csrf
    ask("POST", "/users", {"name": "victim", "password": PASSWORD, "roles": ["viewer"]})
    few = {"name": "few", "rights": ["seeStatus"], "expires": None}
    token = ask("POST", "/tokens", few)["token"]
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in session.cookies)
    print(f"Cookie: {cookies}\tx-csrf-token: {csrf}")
    print(f"Authorization: Bearer {token}")


main(*sys.argv[1:])
