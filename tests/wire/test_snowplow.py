"""Snowplow's parameters as events, and its answers."""

import base64
import json
from urllib.parse import urlsplit

import pytest
import yarl
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from collector.config import Limits
from collector.config_clients import Clients
from collector.config_http import Http
from collector.errors import Refused
from collector.wire import build, snowplow, table
from collector.wire.address import Addresses
from collector.wire.message import Client, Refusal, Request

RECEIVED = 1_767_225_600_000  # 2026-01-01T00:00:00Z
ECOMMERCE = "iglu:com.snowplowanalytics.snowplow.ecommerce"
PAYLOAD = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"


def request(body=b"", method="POST", query="", **headers):
    url = yarl.URL.build(path="/i", query_string=query, encoded=True)
    named = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return Request(method, url, named, body, "127.0.0.1", Client.of(named))


def posted(*events, limits=None, **headers):
    body = json.dumps({"schema": PAYLOAD, "data": events}).encode()
    return snowplow.post(request(body, **headers), "batch", limits or Limits())


def got(limits=None, **params):
    query = str(yarl.URL.build(query=params))[1:]
    return snowplow.get(request(method="GET", query=query), "event", limits or Limits())


def event(call):
    """The one event of a call, its JSON decoded."""
    arrival = build.Arrival(
        "shop", RECEIVED, None, None, False, Limits(), Addresses((), "truncated").masked
    )
    (found,) = build.events(call, arrival)
    assert call.refused == []
    values = {name: getattr(found, name) for name in found.__struct_fields__}
    return values | {
        name: json.loads(values[name]) for name in ("properties", "context") if values[name]
    }


def unstructured(schema, data):
    return {"schema": "iglu:x/unstruct_event/jsonschema/1-0-0", "data": named(schema, data)}


def named(schema, data):
    return {"schema": schema, "data": data}


def coded(value, encode=base64.urlsafe_b64encode):
    return encode(json.dumps(value, ensure_ascii=False).encode()).decode()


def test_an_event_is_the_same_by_get_and_by_post():
    sent = {"e": "pv", "eid": "1", "url": "https://shop.example/ü?a=1&b=2", "aid": "shop"}
    assert event(posted(sent)) == event(got(**sent))


def test_a_page_view_with_all_that_the_tracker_says_of_the_browser():
    row = event(
        posted(
            {
                "e": "pv", "eid": "id-1", "aid": "shop", "p": "web", "tna": "sp", "tv": "js-4.10.1",
                "url": "https://shop.example/p?q=1", "page": "Zürich 東京", "refr": "https://a.example/",
                "uid": "ada", "duid": "d-1", "nuid": "n-1", "sid": "s-1", "vid": "3",
                "dtm": "1767225500000", "stm": "1767225510000", "lang": "de", "tz": "Europe/Zurich",
                "res": "1920x1080", "ua": "Agent/2",
                "ip": "203.0.113.77",
            }
        )
    )  # fmt: skip
    assert (row["type"], row["event"], row["message_id"]) == ("page", None, "id-1")
    assert (row["user_id"], row["anonymous_id"]) == ("ada", "d-1")
    assert (row["url"], row["path"]) == ("https://shop.example/p?q=1", "/p")
    assert (row["title"], row["referrer"]) == ("Zürich 東京", "https://a.example/")
    assert (row["original_timestamp"], row["sent_at"]) == (1767225500000, 1767225510000)
    assert (row["user_agent"], row["ip"]) == ("Agent/2", "203.0.113.0")
    page = {"url": row["url"], "title": row["title"], "referrer": row["referrer"]}
    assert row["properties"] == page
    assert row["context"] == {
        "page": page,
        "locale": "de",
        "timezone": "Europe/Zurich",
        "userAgent": "Agent/2",
        "ip": "203.0.113.0",
        "library": {"name": "snowplow", "version": "js-4.10.1"},
        "screen": {"width": 1920, "height": 1080},
        "snowplow": {
            "aid": "shop", "p": "web", "tna": "sp", "sid": "s-1", "vid": "3", "nuid": "n-1"
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "name", "properties"),
    [
        (
            {"e": "pp", "pp_mix": "0", "pp_max": "5", "pp_miy": "10", "pp_may": "999"},
            "Page Ping",
            {"min_x": 0, "max_x": 5, "min_y": 10, "max_y": 999},
        ),
        (
            {"e": "se", "se_ca": "Mixes", "se_ac": "Play", "se_la": "1", "se_pr": "x",
             "se_va": "0.5"},
            "Play",
            {"category": "Mixes", "action": "Play", "label": "1", "property": "x", "value": 0.5},
        ),
        (
            {"e": "tr", "tr_id": "o-1", "tr_tt": "119.85", "tr_cu": "eur", "tr_tx": "9",
             "tr_sh": "0", "tr_af": "Shop", "tr_ci": "Bern", "tr_st": "BE", "tr_co": "CH"},
            "Order Completed",
            {"order_id": "o-1", "total": 119.85, "currency": "eur", "tax": 9, "shipping": 0,
             "affiliation": "Shop", "city": "Bern", "state": "BE", "country": "CH"},
        ),
        (
            {"e": "ti", "ti_id": "o-1", "ti_sk": "SKU-1", "ti_nm": "Plan", "ti_ca": "Mail",
             "ti_pr": "19.95", "ti_qu": "2", "ti_cu": "EUR"},
            "Order Item",
            {"product_id": "SKU-1", "order_id": "o-1", "sku": "SKU-1", "name": "Plan",
             "category": "Mail", "price": 19.95, "quantity": 2, "currency": "EUR"},
        ),
    ],
    ids=["ping", "structured", "transaction", "item"],
)  # fmt: skip
def test_events_of_fixed_form(given, name, properties):
    row = event(posted(given))
    assert (row["type"], row["event"], row["properties"]) == ("track", name, properties)
    assert row["context"] is None


@pytest.mark.parametrize("amount", ["1e3", "0x10", "1_0", "12.", "١٢", "9" * 30, "NaN", " 5"])
def test_what_is_not_plainly_a_number_stays_a_text(amount):
    assert event(posted({"e": "tr", "tr_tt": amount}))["properties"] == {"total": amount}


def test_a_number_where_a_text_belongs_counts_as_its_text():
    assert event(posted({"e": "tr", "tr_id": 7, "tr_tt": 1.5, "dtm": 1767225500000}))[
        "properties"
    ] == {"order_id": "7", "total": 1.5}


@pytest.mark.parametrize("encode", [base64.urlsafe_b64encode, base64.b64encode])
@pytest.mark.parametrize("padding", [True, False])
def test_a_self_describing_event_is_named_by_its_schema(encode, padding):
    schema = "iglu:com.vendor/link_click/jsonschema/1-0-1"
    given = unstructured(schema, {"targetUrl": "https://a.example/?>>>", "n": [1, {"ü": None}]})
    text = coded(given, encode)
    sent = {"ue_px": text if padding else text.rstrip("=")}
    for row in (event(posted({"e": "ue", **sent})), event(got(e="ue", **sent))):
        assert (row["type"], row["event"]) == ("track", "link_click")
        assert row["properties"] == given["data"]["data"]
        assert row["context"] == {"snowplow": {"schema": schema}}


def test_a_self_describing_event_that_is_not_encoded():
    row = event(got(e="ue", ue_pr=json.dumps(unstructured("iglu:v/e/jsonschema/1-0-0", {"a": 1}))))
    assert (row["event"], row["properties"]) == ("e", {"a": 1})


@pytest.mark.parametrize(("data", "properties"), [([1], {"value": [1]}), (None, None), ({}, None)])
def test_self_describing_data_of_any_kind(data, properties):
    row = event(posted({"e": "ue", "ue_px": coded(unstructured("own-name", data))}))
    assert (row["event"], row["properties"]) == ("own-name", properties)


def test_a_screen_view_is_a_screen():
    data = {"name": "Home", "id": "1"}
    row = event(posted({"e": "ue", "ue_px": coded(unstructured("iglu:v/screen_view/j/1", data))}))
    assert (row["type"], row["event"], row["properties"]) == ("screen", "Home", data)


def test_entities_stay_with_the_event():
    entities = [named("iglu:v/web_page/jsonschema/1-0-0", {"id": "p"}), named("x", {})]
    row = event(posted({"e": "pv", "cx": coded({"schema": "contexts", "data": entities})}))
    assert row["context"] == {"contexts": entities}
    assert event(got(e="pv", co=json.dumps(named("c", entities))))["context"] == row["context"]


def ecommerce(action, *entities):
    data = unstructured(f"{ECOMMERCE}/snowplow_ecommerce_action/jsonschema/1-0-2", action)
    beside = [named(f"{ECOMMERCE}/{name}/jsonschema/1-0-0", values) for name, values in entities]
    return event(posted({"e": "ue", "ue_px": coded(data), "cx": coded(named("contexts", beside))}))


def test_a_transaction_of_the_ecommerce_plugin_is_an_order():
    row = ecommerce(
        {"type": "transaction"},
        (
            "product",
            {"id": "p1", "name": "Plan", "category": "Mail", "price": 19.95, "quantity": 2},
        ),
        ("transaction", {"transaction_id": "o-1", "revenue": 39.9, "currency": "EUR", "tax": 3}),
    )
    assert row["event"] == "Order Completed"
    assert row["properties"] == {
        "type": "transaction",
        "order_id": "o-1",
        "total": 39.9,
        "currency": "EUR",
        "tax": 3,
        "products": [
            {"product_id": "p1", "name": "Plan", "category": "Mail", "price": 19.95, "quantity": 2}
        ],
    }


def test_other_actions_of_the_ecommerce_plugin_keep_their_name():
    row = ecommerce({"type": "add_to_cart"}, ("product", {"id": "p1", "price": 1}))
    assert row["event"] == "add_to_cart"
    assert row["properties"] == {
        "type": "add_to_cart",
        "products": [{"product_id": "p1", "price": 1}],
    }
    assert ecommerce({"type": 5})["event"] == "Ecommerce"


def test_without_a_domain_user_id_the_network_user_id_is_the_visitor():
    for name in ("nuid", "tnuid"):
        row = event(posted({"e": "pv", name: "n-1"}))
        assert (row["anonymous_id"], row["context"]) == ("n-1", None)


def test_anonymous_means_neither_address_nor_ids():
    sent = {
        "e": "pv",
        "uid": "u",
        "duid": "d",
        "nuid": "n",
        "tnuid": "n",
        "ip": "203.0.113.7",
        "sid": "s",
    }
    call = posted(sent, SP_Anonymous="*")
    row = event(call)
    assert call.anonymous
    assert (row["user_id"], row["anonymous_id"]) == (None, None)
    assert row["context"] == {"snowplow": {"sid": "s"}}


def test_a_clock_that_is_off_is_corrected_and_a_true_time_is_not():
    hour = 3_600_000
    wrong = {"e": "pv", "dtm": str(RECEIVED - 3 * hour - 500), "stm": str(RECEIVED - 3 * hour)}
    assert event(posted(wrong))["timestamp"] == RECEIVED - 500
    true = wrong | {"ttm": str(RECEIVED - 7 * hour)}
    assert event(posted(true))["timestamp"] == RECEIVED - 7 * hour


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "expected one of pv, pp, se, ue, tr, ti - at `$.data[0].e`"),
        ({"e": "xx"}, "at `$.data[0].e`"),
        ({"e": "pv", "url": {"a": 1}}, "at `$.data[0][...]`"),
        ({"e": "pv", "dtm": "yesterday"}, "milliseconds since 1970 - at `$.data[0].dtm`"),
        ({"e": "pv", "dtm": "999999999999999"}, "milliseconds since 1970 - at `$.data[0].dtm`"),
        ({"e": "pv", "stm": "-5"}, "at `$.data[0].stm`"),
        ({"e": "pv", "ttm": "1e3"}, "at `$.data[0].ttm`"),
        ({"e": "se"}, "an action - at `$.data[0].se_ac`"),
        ({"e": "ue"}, "an event - at `$.data[0].ue_pr`"),
        ({"e": "ue", "ue_px": "!"}, "base64 - at `$.data[0].ue_px`"),
        ({"e": "ue", "ue_px": "ü"}, "base64 - at `$.data[0].ue_px`"),
        ({"e": "ue", "ue_pr": "[]"}, "at `$.data[0].ue_pr`"),
        ({"e": "ue", "ue_pr": '{"schema":"a","data":{"schema":1}}'}, "at `$.data[0].ue_pr.schema`"),
        ({"e": "ue", "ue_pr": '{"a":"\\u0000"}'}, "NUL"),
        ({"e": "ue", "ue_pr": '{"a":' * 70 + "1" + "}" * 70}, "nested deeper than 64"),
        ({"e": "pv", "co": '{"data":[{"schema":"a","data":[]}]}'}, ".co.data[0].data`"),
        ({"e": "pv", "url": "a\0b"}, "NUL"),
        ({"e": "pv", "page": "x" * 40_000}, "over 32768 bytes"),
    ],
)  # fmt: skip
def test_a_broken_event_is_refused_alone_and_named(given, said):
    call = posted(given, {"e": "pv", "eid": "sound"}, given)
    assert [item.message_id for item in call.items] == ["sound"]
    assert [refusal.index for refusal in call.refused] == [0, 2]
    assert said in call.refused[0].error.message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"data":5}',
        b'{"data":[{}',
        b'{"data":[{"e":"pv"}],"schema":5}',
        b"\xff",
    ],
)
def test_a_broken_body_is_refused_as_a_whole(body):
    call = snowplow.post(request(body), "batch", Limits())
    assert call.items == []
    assert len(call.refused) == 1


def test_a_batch_belongs_to_the_site_of_its_first_event():
    assert posted({"e": "pv", "aid": "a"}, {"e": "pv", "aid": "b"}).named == "a"
    assert posted({"e": "no", "aid": "a"}, {"e": "pv"}).named == "a"
    assert posted({"e": "pv"}).named == ""


@pytest.mark.parametrize(("platform", "browser"), [("web", True), ("srv", False), (None, False)])
def test_a_web_tracker_is_a_visitors_browser(platform, browser):
    assert posted({"e": "pv", "p": platform}).browser is browser
    assert got(e="pv", **({"p": platform} if platform else {})).browser is browser


def test_too_many_events_are_refused():
    (refusal,) = posted(*[{"e": "pv"}] * 3, limits=Limits(batch_events=2)).refused
    assert refusal.error.status == 413


def refused(status):
    return Refused(status, "some_code", "what was expected")


@pytest.mark.parametrize(
    ("status", "said"),
    [(400, 400), (401, 401), (408, 408), (413, 400), (415, 400), (429, 429), (503, 503)],
)
def test_trackers_try_again_only_what_may_succeed(status, said):
    for answer in (snowplow.error(refused(status)), snowplow.image_error(refused(status))):
        assert answer.status == said
        assert (("Retry-After", "1") in answer.headers) == (status in (429, 503))


def test_what_was_stored_is_ok_though_a_neighbour_was_refused():
    bad = [Refusal(0, refused(400), b"")]
    assert snowplow.answer(bad, 1).body == b"ok"
    assert snowplow.image(bad, 1).status == 200
    assert snowplow.answer(bad, 0).status == snowplow.image(bad, 0).status == 400
    assert json.loads(snowplow.answer(bad, 0).body)["message"] == "what was expected"


def test_images_are_images_and_never_cached():
    for answer in (snowplow.image([], 1), snowplow.image_error(refused(503))):
        assert answer.body.startswith(b"GIF89a")
        assert ("Cache-Control", "no-store, private") in answer.headers


def redirected(target, **params):
    query = str(yarl.URL.build(query={"u": target, **params}))[1:]
    parse = snowplow.redirect(("Partner.example",))
    return parse(request(method="GET", query=query), "event", Limits())


@pytest.mark.parametrize("host", ["partner.example", "www.partner.example", "partner.example:8443"])
def test_a_click_is_counted_and_sent_on(host):
    call = redirected(f"https://{host}/a?b=c", aid="shop", duid="d")
    assert (call.named, call.reply.status) == ("shop", 302)
    assert ("Location", f"https://{host}/a?b=c") in call.reply.headers
    row = event(call)
    assert (row["event"], row["anonymous_id"]) == ("uri_redirect", "d")
    assert row["properties"] == {"uri": f"https://{host}/a?b=c"}


@pytest.mark.parametrize(
    "target",
    [
        "", "https://evil.example/", "https://evilpartner.example/", "//partner.example/", "/path",
        "javascript://partner.example/%0aalert(1)", "https://partner.example@evil.example/",
        "https://partner.example.evil.example/", "https://evil.example\\.partner.example/",
        "https://partner.example/\r\nSet-Cookie: a=b", "https://[partner.example/", "\ud800",
        "https://evil.example#.partner.example", "https://evil.example?.partner.example",
    ],
)  # fmt: skip
def test_nobody_is_sent_elsewhere(target):
    query = yarl.URL.build(query={"u": target.encode("utf-8", "replace").decode()}).raw_query_string
    with pytest.raises(Refused):
        snowplow.redirect(("partner.example",))(
            request(method="GET", query=query), "event", Limits()
        )


@given(st.text(max_size=30), st.text("/\\@:?#.%\t \0", max_size=4), st.text(max_size=10))
def test_whatever_the_target_is_only_a_named_host_is_reached(before, between, after):
    for target in (
        f"https://{before}{between}partner.example{after}",
        f"https://partner.example{between}{before}{after}",
    ):
        given = {"u": target.encode("utf-8", "replace").decode()}
        query = str(yarl.URL.build(query=given))[1:]
        try:
            call = snowplow.redirect(("partner.example",))(
                request(method="GET", query=query), "event", Limits()
            )
        except Refused:
            continue
        (location,) = [value for name, value in call.reply.headers if name == "Location"]
        assert location == given["u"]
        host = urlsplit(location).netloc.partition(":")[0].lower()
        assert host == "partner.example" or host.endswith(".partner.example")
        assert not set(location) & set("\\\t\r\n\0 ")


def test_without_domains_there_is_no_redirect():
    assert "/r/tp2" not in table.routes(Http(), Clients())
    named = Http(redirect_domains=("partner.example",))
    assert "/r/tp2" in table.routes(named, Clients())
    assert "/r/tp2" not in table.routes(named, Clients(snowplow=False))
