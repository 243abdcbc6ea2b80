#include "shared/snapshot_text.hpp"

#include <boost/test/unit_test.hpp>
#include <sstream>

#include "shared/json_text.hpp"
#include "tests/unit/snapshot_fixture.hpp"

using namespace preforkd;
using preforkd::test::sample_moment;
using preforkd::test::sample_snapshot;

namespace {

bool holds(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(snapshot_text)

BOOST_AUTO_TEST_CASE(json_is_separated_and_escaped) {
    JsonText json;
    json.begin_object();
    json.member("a", "x\"y\\z\n\x7f\xff");
    json.name("b");
    json.begin_array();
    json.value(1);
    json.null();
    json.begin_object();
    json.end_object();
    json.value(true);
    json.end_array();
    json.member("c", 0.25);
    json.end_object();
    BOOST_TEST(json.text() ==
               R"({"a":"x\u0022y\u005cz\u000a\u007f\u00ff","b":[1,null,{},true],"c":0.25})");
}

BOOST_AUTO_TEST_CASE(the_json_object_holds_server_listeners_workers_exits_and_verdicts) {
    const std::string json = to_json(sample_snapshot(), sample_moment());
    for (const char* const part : {
             R"({"program":"preforkd","version":"1.2.3","pid":4242,"state":"running","ready":true,)"
             R"("generation":7,"started":1700000000,"uptime":3600,)",
             R"("name":"web","service":"http","pool":"main","addresses":"0.0.0.0:80 [::]:80",)"
             R"("in_service":true,"workers":2,"accepted":10,"active":3,)",
             R"("requests":100,"responses":{"other":0,"1xx":0,"2xx":99,)",
             R"("metrics":{"messages":5})",
             R"("slot":"main/0","pid":4251,"generation":7,"state":"serving","uptime":60,)"
             R"("closes_in":null,)",
             R"("state":"draining","uptime":3600,"closes_in":18,)",
             R"("crashed":1,)",
             R"("verdicts":[{"number":2,"kind":"reload","accepted":false,"generation":7,)"
             R"("time":1700003540,"text":"reload refused: a.conf:3: unknown key \u0022x\u0022"},)",
         })
        BOOST_TEST(holds(json, part), part << " is not in " << json);
    BOOST_TEST(json.find('\n') == json.size() - 1);
}

BOOST_AUTO_TEST_CASE(metrics_have_names_types_and_labels_as_prometheus_wants_them) {
    const std::string metrics = to_metrics(sample_snapshot(), sample_moment());
    for (const char* const line : {
             "preforkd_build_info{version=\"1.2.3\"} 1\n",
             "# TYPE preforkd_generation gauge\npreforkd_generation 7\n",
             "preforkd_config_last_reload_successful 0\n",
             "preforkd_config_last_reload_success_timestamp_seconds 1700000000\n",
             "preforkd_workers{state=\"serving\"} 1\n",
             "preforkd_workers{state=\"draining\"} 1\n",
             "preforkd_worker_exits_total{reason=\"crashed\"} 1\n",
             "preforkd_connections_active{listener=\"web\"} 3\n",
             "preforkd_requests_total{listener=\"web\",code=\"2xx\"} 99\n",
             "# TYPE preforkd_request_duration_seconds histogram\n",
             "preforkd_request_duration_seconds_bucket{listener=\"web\",le=\"+Inf\"} 100\n",
             "preforkd_request_duration_seconds_count{listener=\"web\"} 100\n",
             "preforkd_request_duration_seconds_sum{listener=\"web\"} 0.299\n",
             "# TYPE preforkd_board_messages_total counter\n",
             "preforkd_board_messages_total{listener=\"board\"} 5\n",
         })
        BOOST_TEST(holds(metrics, line), line << " is not in\n" << metrics);
}

BOOST_AUTO_TEST_CASE(each_metric_is_described_once_and_buckets_only_grow) {
    std::istringstream metrics(to_metrics(sample_snapshot(), sample_moment()));
    std::string described;
    std::uint64_t before = 0;
    for (std::string line; std::getline(metrics, line);) {
        if (line.starts_with("# TYPE ")) {
            const std::string name = line.substr(7, line.find(' ', 7) - 7) + " ";
            BOOST_TEST(!holds(described, " " + name), name);
            described += " " + name;
        }
        if (!line.starts_with("preforkd_request_duration_seconds_bucket{listener=\"web\""))
            continue;
        const std::uint64_t count = std::stoull(line.substr(line.rfind(' ')));
        BOOST_TEST(count >= before);
        before = count;
    }
    BOOST_TEST(before == 100u);
}

BOOST_AUTO_TEST_CASE(a_name_can_not_end_a_label) {
    Snapshot snapshot = sample_snapshot();
    snapshot.listeners[0].name = "a\"b\\c\nd";
    BOOST_TEST(holds(to_metrics(snapshot, sample_moment()), "{listener=\"a\\\"b\\\\c\\nd\"}"));
}

BOOST_AUTO_TEST_CASE(a_difference_never_goes_below_nothing) {
    SectionTotals now, before;
    now.accepted = 5;
    before.accepted = 3;
    before.sent = 7;
    now.responses[2] = 9;
    BOOST_TEST(difference(now, before).accepted == 2u);
    BOOST_TEST(difference(now, before).sent == 0u);
    BOOST_TEST(difference(now, before).requests() == 9u);
}

BOOST_AUTO_TEST_SUITE_END()
