#include "master/walk.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <functional>

#include "process_support.hpp"

using namespace preforkd;
using namespace preforkd::master;
using preforkd::testing::in_child;
using preforkd::testing::TempFolder;
namespace fs = std::filesystem;

namespace {

constexpr uid_t nobody = 65534;
constexpr auto same_group = static_cast<gid_t>(-1);

void make_folder(const std::string& path, mode_t mode = 0755, uid_t owner = ::geteuid()) {
    BOOST_REQUIRE(::mkdir(path.c_str(), 0700) == 0);
    BOOST_REQUIRE(::chown(path.c_str(), owner, same_group) == 0);
    BOOST_REQUIRE(::chmod(path.c_str(), mode) == 0);
}

void make_link(const std::string& path, const std::string& target, uid_t owner = ::geteuid()) {
    BOOST_REQUIRE(::symlink(target.c_str(), path.c_str()) == 0);
    BOOST_REQUIRE(::lchown(path.c_str(), owner, same_group) == 0);
}

/// What keeps a path from being walked; "" if nothing does.
std::string obstacle_on(const std::string& path, Way way) {
    const Walked walked = walk_to(path, way);
    return walked ? "" : walked.error().part + " " + walked.error().why;
}

bool mentions(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

bool is_same_folder(const UniqueFd& one, const std::string& other) {
    struct stat walked {
    }, named{};
    return ::fstat(one.get(), &walked) == 0 && ::stat(other.c_str(), &named) == 0 &&
           walked.st_dev == named.st_dev && walked.st_ino == named.st_ino;
}

/// A way to the file `x`, and what is said of it.
struct Case {
    const char* name;
    std::function<void(const std::string&)> make;  ///< in that folder
    const char* path;                              ///< from there
    std::string guarded, straight;                 ///< "": it is walked
    bool is_ours = false;                          ///< if it is walked
};

const std::string of_theirs = "belongs to uid 65534, who could";
const std::string their_link = "/link is a symbolic link of uid 65534, who could lead it anywhere";
const std::string link_in_theirs = "/theirs/link is a symbolic link, and '";
const std::string anybody = "has mode 0777, anybody could";

const std::vector<Case>& ways_of_ours() {
    static const std::vector<Case> all{
        {"folders", [](auto here) { make_folder(here + "/b"); }, "/b/x", "", "", true},
        {"absolute link", [](auto here) { make_link(here + "/link", here + "/a"); }, "/link/x", "",
         "", true},
        {"relative link",
         [](auto here) {
             make_folder(here + "/b");
             make_link(here + "/b/link", "../a");
         },
         "/b/link/x", "", "", true},
        {"link into a folder by a link",
         [](auto here) {
             make_folder(here + "/a/c");
             make_link(here + "/one", "a");
             make_link(here + "/link", "one/c/.");
         },
         "/link/x", "", "", true},
        {"dots and slashes", [](auto) {}, "//a/..///./a//x", "", "", true},
        {"link in a sticky folder",
         [](auto here) {
             make_folder(here + "/tmp", 01777);
             make_link(here + "/tmp/link", "../a");
         },
         "/tmp/link/x", "", "", true},
        {"sticky folder", [](auto here) { make_folder(here + "/tmp", 01777); }, "/tmp/x", "", ""},
        {"folder of a group", [](auto here) { make_folder(here + "/log", 0775); }, "/log/x", "",
         ""},
        {"folder and link in the folder of a group",
         [](auto here) {
             make_folder(here + "/log", 0775);
             make_link(here + "/log/link", "../a");
         },
         "/log/link/x", "", "", true},
        {"folder of everybody's", [](auto here) { make_folder(here + "/all", 0777); }, "/all/x",
         anybody, ""},
        {"folder in one of everybody's",
         [](auto here) {
             make_folder(here + "/all", 0777);
             make_folder(here + "/all/b");
         },
         "/all/b/x", anybody, ""},
        {"link in a folder of everybody's",
         [](auto here) {
             make_folder(here + "/all", 0777);
             make_link(here + "/all/link", here + "/a");
         },
         "/all/link/x", anybody, "/all/link is a symbolic link, and '"},
        {"link to itself", [](auto here) { make_link(here + "/link", "link"); }, "/link/x",
         "Too many levels", "Too many levels"},
        {"absent folder", [](auto) {}, "/b/x", "/b No such file", "/b No such file"},
        {"link to nothing", [](auto here) { make_link(here + "/link", "b"); }, "/link/x",
         "/b No such file", "/b No such file"},
        {"file instead of a folder", [](auto here) { std::ofstream(here + "/b"); }, "/b/x",
         "/b Not a directory", "/b Not a directory"},
    };
    return all;
}

const std::vector<Case>& ways_with_neighbours() {
    static const std::vector<Case> all{
        {"their link", [](auto here) { make_link(here + "/link", here + "/a", nobody); }, "/link/x",
         their_link, their_link},
        {"their link in a sticky folder",
         [](auto here) {
             make_folder(here + "/tmp", 01777);
             make_link(here + "/tmp/link", "../a", nobody);
         },
         "/tmp/link/x", their_link, their_link},
        {"their folder", [](auto here) { make_folder(here + "/theirs", 0755, nobody); },
         "/theirs/x", of_theirs, ""},
        {"their sticky folder", [](auto here) { make_folder(here + "/theirs", 01777, nobody); },
         "/theirs/x", of_theirs, ""},
        {"their folder in theirs",
         [](auto here) {
             make_folder(here + "/theirs", 0755, nobody);
             make_folder(here + "/theirs/b", 0755, nobody);
         },
         "/theirs/b/x", of_theirs, ""},
        {"folder in theirs",
         [](auto here) {
             make_folder(here + "/theirs", 0755, nobody);
             make_folder(here + "/theirs/b");
         },
         "/theirs/b/x", of_theirs, ""},
        {"their link in theirs",
         [](auto here) {
             make_folder(here + "/theirs", 0755, nobody);
             make_link(here + "/theirs/link", here + "/a", nobody);
         },
         "/theirs/link/x", of_theirs, their_link},
        // By a hard link, or by renaming, one of root's links can be anywhere.
        {"link in theirs",
         [](auto here) {
             make_folder(here + "/theirs", 0755, nobody);
             make_link(here + "/theirs/link", here + "/a");
         },
         "/theirs/link/x", of_theirs, link_in_theirs},
        {"link in a folder in theirs",
         [](auto here) {
             make_folder(here + "/theirs", 0755, nobody);
             make_folder(here + "/theirs/b");
             make_link(here + "/theirs/b/link", here + "/a");
         },
         "/theirs/b/link/x", of_theirs, "/theirs/b/link is a symbolic link, and '"},
        {"out of theirs", [](auto here) { make_folder(here + "/theirs", 0755, nobody); },
         "/theirs/../a/x", of_theirs, "leads out of a folder, and '"},
        {"link into theirs",
         [](auto here) {
             make_folder(here + "/theirs", 0755, nobody);
             make_folder(here + "/theirs/b", 0755, nobody);
             make_link(here + "/link", here + "/theirs/b");
         },
         "/link/x", of_theirs, ""},
    };
    return all;
}

void check(const Case& one) {
    const TempFolder folder;
    const std::string here = folder.path(), path = here + one.path;
    make_folder(here + "/a");
    one.make(here);
    for (const auto& [way, told] :
         {std::pair(Way::guarded, one.guarded), {Way::straight, one.straight}}) {
        const std::string obstacle = obstacle_on(path, way);
        if (told.empty())
            BOOST_TEST(obstacle == "");
        else
            BOOST_TEST(mentions(obstacle, told), obstacle);
    }
    const Walked walked = walk_to(path, Way::straight);
    if (!walked) return;
    BOOST_TEST(walked->name == "x");
    BOOST_TEST(walked->is_ours == one.is_ours);
    BOOST_TEST(is_same_folder(walked->folder, fs::path(path).parent_path()));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(walk)

BOOST_AUTO_TEST_CASE(what_is_ours_is_walked_as_the_kernel_does) {
    for (const Case& one : ways_of_ours()) BOOST_TEST_CONTEXT(one.name) check(one);
}

BOOST_AUTO_TEST_CASE(nothing_leads_on_from_what_a_neighbour_controls) {
    if (::geteuid() != 0) {
        BOOST_TEST_MESSAGE("skipped: needs root");
        return;
    }
    for (const Case& one : ways_with_neighbours()) BOOST_TEST_CONTEXT(one.name) check(one);
}

BOOST_AUTO_TEST_CASE(as_many_links_are_followed_as_the_kernel_follows) {
    const TempFolder folder;
    make_folder(folder / "0");
    for (int number = 1; number <= 41; ++number)
        make_link(folder / std::to_string(number), std::to_string(number - 1));
    BOOST_TEST(obstacle_on(folder / "40/x", Way::guarded) == "");
    BOOST_TEST(fs::exists(folder / "40/."));
    BOOST_TEST(mentions(obstacle_on(folder / "41/x", Way::guarded), "Too many levels"));
    std::error_code error;
    BOOST_TEST(!fs::exists(folder / "41/.", error));
}

BOOST_AUTO_TEST_CASE(the_root_is_a_place_too) {
    for (const char* const path : {"/", "//", "/."}) {
        const Walked walked = walk_to(path, Way::straight);
        BOOST_REQUIRE(walked.has_value());
        BOOST_TEST(walked->name.starts_with("."));
        BOOST_TEST(is_same_folder(walked->folder, "/"));
    }
    BOOST_TEST(walk_to("/x", Way::straight)->name == "x");
    BOOST_TEST(walk_to("/x/", Way::straight)->name == "x/");
}

BOOST_AUTO_TEST_CASE(a_link_at_the_end_is_kept_unless_it_is_to_be_followed) {
    const TempFolder folder;
    make_folder(folder / "a");
    make_link(folder / "link", "a/absent");
    BOOST_TEST(walk_to(folder / "link", Way::guarded)->name == "link");
    const Walked followed = walk_to(folder / "link", Way::guarded, LastLink::followed);
    BOOST_REQUIRE(followed.has_value());
    BOOST_TEST(followed->name == "absent");
    BOOST_TEST(is_same_folder(followed->folder, folder / "a"));
    BOOST_REQUIRE(::chmod((folder / "a").c_str(), 0777) == 0);
    BOOST_TEST(walk_to(folder / "link", Way::guarded, LastLink::followed).has_error());
}

BOOST_AUTO_TEST_CASE(a_folder_that_is_replaced_meanwhile_stays_the_one_that_was_walked_to) {
    const TempFolder folder;
    make_folder(folder / "a");
    const Walked walked = walk_to(folder / "a/x", Way::guarded);
    BOOST_REQUIRE(walked.has_value());
    fs::rename(folder / "a", folder / "before");
    make_folder(folder / "a");
    BOOST_TEST(is_same_folder(walked->folder, folder / "before"));
}

BOOST_AUTO_TEST_CASE(the_kernels_own_links_lead_where_they_do) {
    const TempFolder folder;
    const UniqueFd open(::open(folder.path().c_str(), O_PATH | O_CLOEXEC));
    const std::string link = fmt::format("/proc/self/fd/{}", open.get());
    const Walked inside = walk_to(link + "/x", Way::guarded);
    BOOST_REQUIRE(inside.has_value());
    BOOST_TEST(is_same_folder(inside->folder, folder.path()));
    const Walked last = walk_to(link, Way::guarded, LastLink::followed);
    BOOST_REQUIRE(last.has_value());
    BOOST_TEST(last->is_magic);
    BOOST_TEST(last->name == std::to_string(open.get()));
}

// "/" and "/tmp" are the overflow uid's there, which is that of `nobody` outside.
BOOST_AUTO_TEST_CASE(in_a_user_namespace_the_folders_of_the_world_outside_are_on_the_way) {
    const TempFolder folder;
    BOOST_REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
    const uid_t outside = ::geteuid() == 0 ? 1234 : ::geteuid();
    constexpr int has_none = 77;
    const int status = in_child([&] {
        if (::geteuid() == 0 && ::setresuid(outside, outside, outside) < 0) return 90;
        // Else our own uid_map is root's: proc(5).
        (void)::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        if (::unshare(CLONE_NEWUSER) < 0) return has_none;
        std::ofstream("/proc/self/uid_map") << "0 " << outside << " 1\n" << std::flush;
        if (::geteuid() != 0) return has_none;
        return walk_to(folder / "x", Way::guarded) ? 0 : 1;
    });
    if (status == has_none)
        BOOST_TEST_MESSAGE("skipped: needs user namespaces");
    else
        BOOST_TEST(status == 0);
}

BOOST_AUTO_TEST_SUITE_END()
