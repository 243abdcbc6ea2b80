#include "shared/config_diff.hpp"

#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "tests/unit/config_fixture.hpp"

using namespace config_fixture;

BOOST_AUTO_TEST_SUITE(config_diff)

namespace {

const std::string web = "[listen.a]\naddress = :80\nservice = web\nroot = /x\n";
const std::string echo = "[listen.b]\naddress = :81\nservice = echo\n";

/// The configurations that a file has before and after an edit.
struct Edit {
    TemporaryFolder folder;
    Config before, after;

    Edit(const std::string& old_text, const std::string& new_text)
        : before(loaded(load_text(folder, old_text))), after(loaded(load_text(folder, new_text))) {}

    [[nodiscard]] std::string refused() const {
        std::string text = to_string(refused_changes(before, after, services()));
        const std::string prefix = folder.path().string() + "/";
        for (std::size_t at; (at = text.find(prefix)) != std::string::npos;)
            text.erase(at, prefix.size());
        return text;
    }
    [[nodiscard]] ListenerChanges changes() const { return listener_changes(before, after); }
};

std::string texts_of(const std::vector<Address>& addresses) {
    std::string texts;
    for (const Address& address : addresses) texts += address.text + " ";
    return texts;
}

using Names = std::vector<std::string>;

}  // namespace

BOOST_AUTO_TEST_CASE(what_a_reload_can_change_is_not_refused) {
    const Edit edit(web, "workers = 3\nlog_level = debug\nerror_log = /e\ndrain_timeout = 1s\n" +
                             web + "title = t\nworkers = 2\nbacklog = 5\n" + echo);
    BOOST_TEST(edit.refused() == "");
}

BOOST_AUTO_TEST_CASE(what_needs_a_restart_is_refused_at_its_line) {
    const std::string hint = "    restart served for this, or put the old value back\n";
    const Edit edit("umask = 022\n" + web,
                    "\nuser = preforkd\ngroup = preforkd\nlock_file = l\nruntime_dir = /r\n"
                    "umask = 077\n" +
                        web);
    BOOST_TEST(edit.refused() ==
               "conf:2: user: a reload cannot change it from unset to 'preforkd'\n" + hint +
                   "conf:3: group: a reload cannot change it from unset to 'preforkd'\n" + hint +
                   "conf:4: lock_file: a reload cannot change it from "
                   "'/tmp/served-1000/served.pid' to 'l'\n" +
                   hint +
                   "conf:5: runtime_dir: a reload cannot change it from '/tmp/served-1000' to "
                   "'/r'\n" +
                   hint + "conf:6: umask: a reload cannot change it from '0022' to '0077'\n" +
                   hint);
}

BOOST_AUTO_TEST_CASE(a_key_that_went_away_is_refused_at_the_file) {
    const Edit edit("umask = 022\n" + web, web);
    BOOST_TEST(edit.refused() ==
               "conf: umask: a reload cannot change it from '0022' to '0027'\n"
               "    restart served for this, or put the old value back\n");
}

BOOST_AUTO_TEST_CASE(a_services_key_may_need_a_restart_too) {
    const Edit edit(web, web + "listing = yes\n");
    BOOST_TEST(edit.refused() ==
               "conf:5: listen.a: listing: a reload cannot change it from 'no' to 'yes'\n"
               "    restart served for this, or put the old value back\n");
    // A listener with another service is a new one under an old name.
    const Edit other("[listen.a]\naddress = :80\nservice = echo\n", web + "listing = yes\n");
    BOOST_TEST(other.refused() == "");
    const Edit added(echo, echo + web + "listing = yes\n");
    BOOST_TEST(added.refused() == "");
}

BOOST_AUTO_TEST_CASE(nothing_changed_means_no_changes) {
    const Edit edit(web + echo, "# a comment\n" + web + echo);
    BOOST_TEST((edit.changes() == ListenerChanges{}));
}

BOOST_AUTO_TEST_CASE(listeners_and_addresses_come_stay_and_go) {
    const Edit edit(web + echo + "[listen.c]\naddress = :82\naddress = :83\nservice = echo\n",
                    web +
                        "title = t\n[listen.c]\naddress = :83\naddress = :84\nservice = echo\n"
                        "[listen.d]\naddress = :81\nservice = echo\n");
    const ListenerChanges changes = edit.changes();
    BOOST_TEST((changes.added == Names{"d"}));
    BOOST_TEST((changes.removed == Names{"b"}));
    BOOST_TEST((changes.changed == Names{"a", "c"}));
    BOOST_TEST(texts_of(changes.new_addresses) == "0.0.0.0:84 ");
    BOOST_TEST(texts_of(changes.gone_addresses) == "0.0.0.0:82 ");
}

BOOST_AUTO_TEST_SUITE_END()
