"""Settings: from file, environment and flags; the first bad one is named."""

import pytest

from collector import config
from collector.errors import ConfigError
from collector.settings import load


def written(tmp_path, text):
    path = tmp_path / "collector.toml"
    path.write_text(text)
    return path


def test_with_nothing_set_the_defaults_hold():
    settings = load(environ={})

    assert (settings.http.listen, settings.admin.listen) == ("127.0.0.1:8080", "127.0.0.1:8081")
    assert (settings.data, settings.site) == ("data", ())
    assert settings.http.trusted_proxies == ("127.0.0.0/8", "::1")
    assert settings.public_url == "http://127.0.0.1:8080"


def test_flag_before_environment_before_file_before_default(tmp_path):
    file = written(
        tmp_path,
        '[http]\nlisten = "127.0.0.1:1"\nkeepalive_s = 1\nmax_headers = 1\n[limits]\ndepth = 5\n',
    )
    environ = {"COLLECTOR__HTTP__LISTEN": "127.0.0.1:2", "COLLECTOR__HTTP__KEEPALIVE_S": "2.5"}

    settings = load(file, environ, {"http.listen": "127.0.0.1:3", "data": None})

    assert settings.http.listen == "127.0.0.1:3"
    assert settings.http.keepalive_s == 2.5
    assert settings.http.max_headers == 1
    assert settings.limits.depth == 5
    assert settings.http.backlog == 1024


def test_every_kind_of_value_can_come_from_the_environment():
    settings = load(
        environ={
            "COLLECTOR__DATA": "/var/lib/collector",
            "COLLECTOR__HTTP__HOT_LANE": "false",
            "COLLECTOR__HTTP__TRUSTED_PROXIES__0": "10.0.0.0/8",
            "COLLECTOR__STORE__DEDUPE_IDS": "1000",
            "COLLECTOR__PRIVACY__IP": "none",
            "COLLECTOR__SITE__0__NAME": "shop",
            "COLLECTOR__SITE__0__KEY__0": "wk_old_key",
            "COLLECTOR__SITE__0__KEY__1": "wk_new_key",
            "COLLECTOR__SITE__10__NAME": "last",
            "COLLECTOR__SITE__2__NAME": "blog",
            "COLLECTOR__SITE__2__KEY": "wk_of_blog",
            "COLLECTOR__SITE__2__ORIGINS__0": "https://blog.example",
            "PATH": "/bin",
            "COLLECTOR_CONFIG": "elsewhere",
        }
    )

    assert settings.data == "/var/lib/collector"
    assert settings.http.hot_lane is False
    assert settings.http.trusted_proxies == ("10.0.0.0/8",)
    assert (settings.store.dedupe_ids, settings.privacy.ip) == (1000, "none")
    assert [(s.name, s.keys, s.origins) for s in settings.site] == [
        ("shop", ("wk_old_key", "wk_new_key"), ()),
        ("blog", ("wk_of_blog",), ("https://blog.example",)),
        ("last", (), ()),
    ]


def test_the_environment_changes_one_site_of_the_file(tmp_path):
    file = written(tmp_path, '[[site]]\nname = "a"\n[[site]]\nname = "b"\nkey = "wk_of_file"\n')

    settings = load(file, {"COLLECTOR__SITE__1__KEY": "wk_of_environment"})

    assert [(s.name, s.keys) for s in settings.site] == [("a", ()), ("b", ("wk_of_environment",))]


def test_a_secret_is_read_from_a_file(tmp_path):
    (tmp_path / "token").write_text("a-token-of-more-than-16\n")

    settings = load(environ={"COLLECTOR__ADMIN__TOKEN_FILE": str(tmp_path / "token")})

    assert settings.admin.token == "a-token-of-more-than-16"


def test_a_secret_file_that_is_missing_is_named():
    with pytest.raises(ConfigError, match="COLLECTOR__ADMIN__TOKEN_FILE: /nowhere cannot be read"):
        load(environ={"COLLECTOR__ADMIN__TOKEN_FILE": "/nowhere"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[http]\nlisten = 5", "http.listen: expected text, got whole number"),
        ('[http]\nlisten = "8080"', "http.listen: expected HOST:PORT, as 127.0.0.1:8080"),
        ('[http]\nlisten = "h:70000"', "http.listen: expected a port up to 65535"),
        ('[[sites]]\nname = "a"', "sites: there is no such setting; did you mean site?"),
        ('[http]\nlisen = "x"', "http.lisen: there is no such setting; did you mean http.listen?"),
        ("[htp]\n", "htp: there is no such setting"),
        ("[http]\nkeepalive_s = 0", "http.keepalive_s: expected number > 0.0"),
        ('[http]\npublic_url = "shop.example"', "http.public_url: expected an address with http"),
        ('[http]\nscript_path = "c.js"', "http.script_path: expected a path that starts with /"),
        ('[http]\ntrusted_proxies = ["proxy"]', "http.trusted_proxies[0]: expected a network"),
        ('[rates]\nexempt = ["edge-1"]', "rates.exempt[0]: expected a network"),
        ('[privacy]\nscrub_patterns = ["ok", "("]', "privacy.scrub_patterns[1]: missing )"),
        ('[privacy]\ncookie = "a b"', "privacy.cookie: expected letters, digits"),
        ("[limits]\ndepth = 1000", "limits.depth: expected whole number <= 500"),
        ("[limits]\nevent_bytes = 0", "limits.event_bytes: expected whole number >= 1"),
        ('[store]\ndurability = "none"', "store.durability: expected full or normal, got 'none'"),
        ("[store]\ndedupe_ids = 10", "store.dedupe_ids: expected whole number >= 1000"),
        ('[admin]\ntoken = "short"', "admin.token: expected at least 16 characters"),
        ("[[site]]\n", "site[0]: name is missing"),
        ('[[site]]\nname = "a b"', "site[0].name: expected letters, digits"),
        ('[[site]]\nname = "a"\nkey = "short"', "site[0].key: expected 8 to 200 printable"),
        ('[[site]]\nname = "a"\n[[site]]\nname = "a"', "site[1].name: the same as site[0].name"),
        (
            '[[site]]\nname = "a"\nkey = "wk_the_same"\n[[site]]\nname = "b"\nkey = "wk_the_same"',
            "site[1].key: the same as site[0].key",
        ),
        (
            '[[site]]\nname = "a"\norigins = ["shop.example"]',
            "site[0].origins[0]: expected an origin as https://shop.example",
        ),
        ('[[site]]\nname = "a"\norigins = ["https://a.example/"]', "site[0].origins[0]: expected"),
        ("data = 1", "data: expected text, got whole number"),
        ('data = ""', "data: expected text of length >= 1"),
        ("data =", "is not TOML"),
    ],
)
def test_a_bad_setting_names_its_path_and_what_was_expected(tmp_path, text, said):
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text), {})

    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("COLLECTOR__HTTP__LISTEN", "x", "http.listen: expected HOST:PORT"),
        (
            "COLLECTOR__HTTP__MAX_HEADERS",
            "many",
            "http.max_headers: expected whole number, got text",
        ),
        ("COLLECTOR__HTTP__HOT_LANE", "maybe", "http.hot_lane: expected true or false"),
        ("COLLECTOR__HTTP", "x", "http: expected table, got text"),
        ("COLLECTOR__NOTHING__AT_ALL", "x", "nothing: there is no such setting"),
        ("COLLECTOR__SITE__0__NAME", "a/b", "site[0].name: expected letters"),
        ("COLLECTOR__DATA__X", "1", "data: expected text, got table"),
    ],
)
def test_a_bad_variable_does_too(name, value, said):
    with pytest.raises(ConfigError) as caught:
        load(environ={name: value})

    assert said in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read"):
        load(tmp_path / "nowhere.toml", {})
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"bytes\.toml: is not UTF-8"):
        load(tmp_path / "bytes.toml", {})


@pytest.mark.parametrize(
    ("listen", "pair"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:0", ("::1", 0)),
        ("a.example:1", ("a.example", 1)),
    ],
)
def test_an_address_is_a_host_and_a_port(listen, pair):
    assert config.split_listen(listen) == pair
    assert load(environ={}, flags={"http.listen": listen}).http.listen == listen


def test_every_setting_says_what_it_is():
    for path, _, meta in config.declared():
        assert meta.description, path
