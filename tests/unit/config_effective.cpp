#include <boost/test/unit_test.hpp>
#include <random>
#include <string>
#include <vector>

#include "shared/config_schema.hpp"
#include "tests/unit/config_fixture.hpp"

using namespace config_fixture;

BOOST_AUTO_TEST_SUITE(config_effective)

namespace {

std::string fault_text(const LoadResult& result) {
    return result ? "" : to_string(result.error());
}

/// Makes configurations of everything that is allowed, in any combination.
class Generator {
  public:
    explicit Generator(std::uint32_t seed) : random_(seed) {}

    std::string file() {
        std::string text;
        add_keys(text, global_keys());
        const unsigned listeners = 1 + pick(3);
        for (unsigned i = 0; i < listeners; ++i) add_listener(text, i);
        return text;
    }

  private:
    unsigned pick(unsigned below) { return static_cast<unsigned>(random_() % below); }

    void add_listener(std::string& text, unsigned number) {
        text += "[listen.l" + std::to_string(number) + "]\n";
        const unsigned addresses = 1 + pick(3);
        for (unsigned i = 0; i < addresses; ++i) {
            const std::string port = std::to_string(1000 + 10 * number + i);
            const std::vector<std::string> forms = {
                "*:" + port,        ":" + port,      "[::]:" + port, "both.test:" + port,
                "10.0.0.1:" + port, "unix:s" + port, "127.0.0.1:0"};
            text += "address = " + forms[pick(7)] + "\n";
        }
        const bool is_web = pick(2) == 0;
        text += is_web ? "service = web\nroot = www\n" : "service = echo\n";
        if (pick(2)) text += "workers = " + value_for("workers") + "\n";
        if (pick(2)) text += "backlog = " + std::to_string(1 + pick(65535)) + "\n";
        static const ServiceSpec web = web_service();
        if (is_web) add_keys(text, web.keys);
    }

    void add_keys(std::string& text, const std::vector<KeySpec>& keys) {
        for (const KeySpec& key : keys) {
            if (key.name == "root" || pick(2)) continue;
            const unsigned times = key.repeatable ? pick(4) : 1;
            for (unsigned i = 0; i < times; ++i)
                text += key.name + " = " + value_for(key.name) + "\n";
        }
    }

    /// One of a few texts that are right for the key.
    std::string value_for(const std::string& key) {
        static const std::map<std::string, std::vector<std::string>> values = {
            {"user", {"preforkd", ""}},
            {"group", {"preforkd", ""}},
            {"workers", {"auto", "1", "1024", "007"}},
            {"accept", {"slots", "shared"}},
            {"lock_file", {"a", "/b/c", "./d//e", ""}},
            {"runtime_dir", {"r", "/s/../t", ""}},
            {"umask", {"0", "777", "022"}},
            {"daemon", {"auto", "yes", "no"}},
            {"error_log", {"auto", "stderr", "syslog", "./off", "x/y z"}},
            {"output_log", {"auto", "stderr", "off", "/o"}},
            {"access_log", {"off", "a.log"}},
            {"log_format", {"combined"}},
            {"log_level", {"debug", "info", "notice", "warning", "error"}},
            {"sandbox", {"strict", "off"}},
            {"drain_timeout", {"1s", "1001ms", "1h", "90s"}},
            {"shutdown_delay", {"0s", "1h", "5s"}},
            {"keepalive_grace", {"0s", "60s", "1ms"}},
            {"ready_timeout", {"10m", "1000ms"}},
            {"hang_timeout", {"3s", "1h"}},
            {"max_requests", {"off", "1", "4294967295"}},
            {"max_lifetime", {"off", "1s", "24h"}},
            {"max_rss", {"off", "1m", "2g"}},
            {"index_file", {"i", ""}},
            {"idle_timeout", {"1h", "61s"}},
            {"max_age", {"off", "24h"}},
            {"max_connections", {"1", "4294967295"}},
            {"offset", {"-5", "0", "5"}},
            {"max_body", {"1k", "1025", "1g"}},
            {"mode", {"0", "600"}},
            {"listing", {"on", "off"}},
            {"colour", {"red", "green"}},
            {"title", {"", "a = b", "[x]", "\xc3\xa4 \xf0\x9f\x98\x80", "'\"\\"}},
            {"add_header", {"", "A: 1", "B"}},
            {"cache", {"", "off", "4096", "1g"}},
            {"owner", {"", "www-data"}},
            {"team", {"", "www-data"}},
        };
        const auto& choices = values.at(key);
        return choices[pick(static_cast<unsigned>(choices.size()))];
    }

    std::mt19937 random_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(the_effective_text_says_every_key) {
    const TemporaryFolder folder;
    const Config config = loaded(load_text(
        folder, "workers = 2\n[listen.a]\naddress = localhost:80\nservice = web\nroot = www\n"));
    const std::string root = folder.path();
    BOOST_TEST(render_effective(config, services()) ==
               "# served: effective configuration of " + root +
                   "/conf\n"
                   "user            =\n"
                   "group           =\n"
                   "workers         = 2\n"
                   "accept          = slots\n"
                   "lock_file       = /tmp/served-1000/served.pid\n"
                   "runtime_dir     = /tmp/served-1000\n"
                   "umask           = 0027\n"
                   "daemon          = auto\n"
                   "error_log       = auto\n"
                   "output_log      = auto\n"
                   "access_log      = off\n"
                   "log_format      = combined\n"
                   "log_level       = info\n"
                   "sandbox         = strict\n"
                   "drain_timeout   = 30s\n"
                   "shutdown_delay  = 0s\n"
                   "keepalive_grace = 2s\n"
                   "ready_timeout   = 30s\n"
                   "hang_timeout    = 10s\n"
                   "max_requests    = off\n"
                   "max_lifetime    = off\n"
                   "max_rss         = off\n"
                   "\n"
                   "[listen.a]\n"
                   "address         = 127.0.0.1:80\n"
                   "service         = web\n"
                   "workers         =\n"
                   "backlog         = 4096\n"
                   "root            = " +
                   root +
                   "/www\n"
                   "index_file      =\n"
                   "idle_timeout    = 1m\n"
                   "max_age         = off\n"
                   "max_connections = 1000\n"
                   "offset          = 0\n"
                   "max_body        = 1m\n"
                   "mode            = 0644\n"
                   "listing         = no\n"
                   "colour          = green\n"
                   "title           = a | b\n"
                   "add_header      = X: 1\n"
                   "add_header      = Y: 2\n"
                   "cache           =\n"
                   "owner           =\n"
                   "team            =\n");
}

BOOST_AUTO_TEST_CASE(a_worker_reads_back_exactly_what_the_master_knows) {
    const std::uint32_t seed = std::random_device{}();
    BOOST_TEST_MESSAGE("seed " << seed);
    Generator generator(seed);
    const TemporaryFolder folder;
    for (int round = 0; round < 500; ++round) {
        const std::string file = generator.file();
        BOOST_TEST_CONTEXT("seed " << seed << "\n" << file) {
            const LoadResult config = load_text(folder, file);
            BOOST_TEST_REQUIRE(fault_text(config) == "");
            const std::string text = render_effective(*config, services());
            const LoadResult again = parse_effective(text, services());
            BOOST_TEST_REQUIRE(fault_text(again) == "");
            BOOST_TEST_REQUIRE((*again == *config));
            BOOST_TEST_REQUIRE(render_effective(*again, services()) == text);
        }
    }
}

BOOST_AUTO_TEST_CASE(the_effective_text_is_a_file_that_means_the_same) {
    const std::uint32_t seed = std::random_device{}();
    BOOST_TEST_MESSAGE("seed " << seed);
    Generator generator(seed);
    const TemporaryFolder folder;
    for (int round = 0; round < 100; ++round) {
        const std::string file = generator.file();
        BOOST_TEST_CONTEXT("seed " << seed << "\n" << file) {
            const Config config = loaded(load_text(folder, file));
            const std::string text = render_effective(config, services());
            BOOST_TEST_REQUIRE((loaded(load_text(folder, text)) == config));
        }
    }
}

BOOST_AUTO_TEST_CASE(a_program_without_a_file_makes_the_round_too) {
    const Config config = loaded(load_config(request({"web", ":80", "root=."})));
    const std::string text = render_effective(config, services());
    BOOST_TEST(text.starts_with("# served: effective configuration of the command line\n"));
    const Config again = loaded(parse_effective(text, services()));
    BOOST_TEST((again == config));
    BOOST_TEST(again.standalone());
}

BOOST_AUTO_TEST_CASE(configurations_that_differ_are_not_equal) {
    const TemporaryFolder folder;
    const std::string text = "[listen.a]\naddress = :80\nservice = web\nroot = /x\n";
    const Config config = loaded(load_text(folder, text));
    for (const std::string line :
         {"workers=3", "user=preforkd", "umask=0", "daemon=yes", "error_log=syslog",
          "log_level=debug", "sandbox=off", "drain_timeout=31s", "listen.a.workers=1",
          "listen.a.backlog=1", "listen.a.address=:81", "listen.a.root=/y", "listen.a.title=t",
          "listen.a.service=echo"})
        if (const LoadResult other = load_text(folder, text, {"-o", line}))
            BOOST_TEST((*other != config), line);
        else
            BOOST_TEST(line == "listen.a.service=echo");
}

BOOST_AUTO_TEST_CASE(a_text_that_asks_the_system_is_no_effective_text) {
    const auto faults = [](const std::string& text) {
        return fault_text(parse_effective(text, services()));
    };
    BOOST_TEST(faults("") == "effective configuration:1: its first line is missing\n");
    BOOST_TEST(faults("workers = 1\n") == "effective configuration:1: its first line is missing\n");
    const std::string first = "# served: effective configuration of /c\n";
    BOOST_TEST(faults(first + "[listen.a]\naddress = both.test:80\nservice = echo\n") ==
               "effective configuration:3: listen.a: address: "
               "'both.test' is not an address in numbers\n");
    BOOST_TEST(faults(first + "workers = x\n") ==
               "effective configuration:2: workers: 'x' is not a number; "
               "expected 'auto' or 1 to 1024\n");
}

BOOST_AUTO_TEST_SUITE_END()
