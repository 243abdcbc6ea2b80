#include "master/pools.hpp"

#include <boost/test/unit_test.hpp>

using namespace preforkd;
using namespace preforkd::master;

BOOST_AUTO_TEST_SUITE(pools)

ListenSection section(const std::string& name, std::optional<unsigned> workers = {}) {
    ListenSection made;
    made.name = name;
    made.workers = workers;
    return made;
}

BOOST_AUTO_TEST_CASE(sections_without_workers_share_the_first_pool) {
    Config config;
    config.workers = 3;
    config.listeners = {section("board", 2), section("web"), section("status")};
    PoolNames names;
    const Policy policy = policy_of(config, names);
    BOOST_REQUIRE(policy.pools.size() == 2u);
    BOOST_TEST(names.name_of(policy.pools[0].id) == "main");
    BOOST_TEST(policy.pools[0].workers == 3u);
    BOOST_TEST(names.name_of(policy.pools[1].id) == "board");
    BOOST_TEST(policy.pools[1].workers == 2u);
    BOOST_TEST(serves("main", config.listeners[1]));
    BOOST_TEST(!serves("main", config.listeners[0]));
    BOOST_TEST(serves("board", config.listeners[0]));
}

BOOST_AUTO_TEST_CASE(there_is_no_shared_pool_where_nobody_shares) {
    Config config;
    config.listeners = {section("board", 2)};
    PoolNames names;
    BOOST_TEST(policy_of(config, names).pools.size() == 1u);
}

BOOST_AUTO_TEST_CASE(auto_means_one_worker_per_core) {
    Config config;
    config.listeners = {section("web"), section("board", 0)};
    PoolNames names;
    for (const PoolPolicy& pool : policy_of(config, names).pools)
        BOOST_TEST(pool.workers == usable_cores());
}

BOOST_AUTO_TEST_CASE(a_pool_keeps_its_number_over_reloads) {
    PoolNames names;
    const PoolId web = names.id_of("web");
    const PoolId board = names.id_of("board");
    BOOST_TEST((names.id_of("web") == web));
    BOOST_TEST((board != web));
    BOOST_TEST(names.text({board, 7}) == "board/7");
}

BOOST_AUTO_TEST_SUITE_END()
