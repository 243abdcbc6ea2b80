#include "worker/services/http_files.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>

#include "worker/services/http_listing.hpp"

using namespace preforkd::worker::http;
using namespace std::chrono_literals;
using preforkd::UniqueFd;
namespace fs = std::filesystem;

namespace {

constexpr UnixTime far_future = 100'000'000'000;  // no file has been changed shortly before

// A folder of its own with files in it, a server's view of them, and a clock that stands still.
struct Site {
    Site() {
        std::string pattern = fs::temp_directory_path() / "preforkd-files-XXXXXX";
        BOOST_REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder = pattern;
        root = folder / "root";
        fs::create_directory(root);
    }
    ~Site() { fs::remove_all(folder); }

    void write(const std::string& name, const std::string& content) const {
        fs::create_directories((root / name).parent_path());
        std::ofstream(root / name, std::ios::binary) << content;
    }

    Files& files() {
        if (!served) {
            UniqueFd descriptor(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
            BOOST_REQUIRE(descriptor.is_open());
            served = std::make_unique<Files>(std::move(descriptor), rules, types);
        }
        return *served;
    }

    Found look_up(const std::string& path) { return files().look_up(path, now); }

    // "200 content", "301", "listing" or the status.
    std::string get(const std::string& path) {
        const Found found = look_up(path);
        switch (found.kind) {
            case Found::Kind::redirect:
                return "301 " + found.path;
            case Found::Kind::listing:
                return "listing " + found.path;
            case Found::Kind::refused:
                return std::to_string(code(found.status));
            case Found::Kind::file:
                break;
        }
        return "200 " + content_of(*found.variants->plain);
    }

    static std::string content_of(const StaticFile& file) {
        if (file.in_memory()) return std::string(file.content());
        std::string content(file.identity().size, '\0');
        const ssize_t got = ::pread(file.descriptor(), content.data(), content.size(), 0);
        BOOST_TEST(got == static_cast<ssize_t>(content.size()));
        return content;
    }

    void pass(preforkd::milliseconds time) { now.monotonic += time; }

    fs::path folder, root;
    FileRules rules;
    MimeTypes types;
    Moment now{preforkd::TimePoint(1h), far_future};
    std::unique_ptr<Files> served;
};

// Replaces what `path` names in one step, as careful writers do.
void replace(const fs::path& path, const std::string& content) {
    const fs::path other = path.string() + ".new";
    std::ofstream(other, std::ios::binary) << content;
    fs::rename(other, path);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(http_files, Site)

BOOST_AUTO_TEST_CASE(files_are_found_below_the_root) {
    write("a.txt", "hello");
    write("b/c d.html", "deep");
    write("100%.txt", "percent");
    write("a%41", "literal");
    BOOST_TEST(get("/a.txt") == "200 hello");
    BOOST_TEST(get("//a.txt") == "200 hello");
    BOOST_TEST(get("/b/c%20d.html") == "200 deep");
    BOOST_TEST(get("/100%25.txt") == "200 percent");
    BOOST_TEST(get("/a%2541") == "200 literal");
    BOOST_TEST(get("/a%41") == "404");
    BOOST_TEST(get("/missing") == "404");
    BOOST_TEST(get("/a.txt/") == "404");
    BOOST_TEST(get("/a.txt/b") == "404");
    BOOST_TEST(get("/%zz") == "400");
    BOOST_TEST(get("/" + std::string(300, 'a')) == "404");
}

BOOST_AUTO_TEST_CASE(a_folder_is_its_index_or_a_redirect_to_its_slash) {
    write("index.html", "top");
    write("a/index.html", "a's");
    write("b/other", "");
    write("c/index.html/x", "");
    BOOST_TEST(get("/") == "200 top");
    BOOST_TEST(get("/a/") == "200 a's");
    BOOST_TEST(get("/a") == "301 a");
    BOOST_TEST(get("/b/") == "404");
    BOOST_TEST(get("/c/") == "404");
    BOOST_TEST(get("/missing/") == "404");
}

BOOST_AUTO_TEST_CASE(the_first_index_that_exists_is_served) {
    rules.index = {"main.html", "index.htm"};
    write("a/index.htm", "second");
    BOOST_TEST(get("/a/") == "200 second");
    write("a/main.html", "first");
    pass(1s);
    BOOST_TEST(get("/a/") == "200 first");
}

BOOST_AUTO_TEST_CASE(listings_are_made_only_when_wanted) {
    write("a/b", "");
    BOOST_TEST(get("/a/") == "404");
    served.reset();
    rules.listing = true;
    BOOST_TEST(get("/a/") == "listing a");
    BOOST_TEST(get("/") == "listing ");
    write("a/index.html", "index");
    BOOST_TEST(get("/a/") == "200 index");
}

BOOST_AUTO_TEST_CASE(an_index_that_is_refused_is_no_reason_to_list_its_folder) {
    rules.listing = true;
    std::ofstream(folder / "outside") << "outside";
    fs::create_directories(root / "out");
    fs::create_directories(root / "fifo");
    fs::create_symlink("../../outside", root / "out" / "index.html");
    BOOST_REQUIRE(::mkfifo((root / "fifo" / "index.html").c_str(), 0644) == 0);
    BOOST_TEST(get("/out/") == "404");
    BOOST_TEST(get("/fifo/") == "404");
    write("folder/index.html/x", "");
    BOOST_TEST(get("/folder/") == "listing folder");
}

BOOST_AUTO_TEST_CASE(nothing_above_the_root_is_reached) {
    std::ofstream(folder / "secret") << "secret";
    fs::create_symlink(folder / "secret", root / "absolute");
    fs::create_symlink("../secret", root / "relative");
    fs::create_symlink("..", root / "up");
    fs::create_symlink("/proc/self/cwd", root / "magic");
    for (const char* path :
         {"/absolute", "/relative", "/up/secret", "/up", "/up/", "/magic", "/magic/"})
        BOOST_TEST(get(path) == "404", path);
    BOOST_TEST(get("/../secret") == "400");
    BOOST_TEST(get("/..%2fsecret") == "400");
}

BOOST_AUTO_TEST_CASE(symlinks_inside_the_root_are_followed_unless_denied) {
    write("a/b", "content");
    fs::create_symlink("a/b", root / "link");
    fs::create_symlink("../a", root / "a" / "back");
    BOOST_TEST(get("/link") == "200 content");
    BOOST_TEST(get("/a/back/b") == "200 content");
    served.reset();
    rules.follow_symlinks = false;
    BOOST_TEST(get("/link") == "404");
    BOOST_TEST(get("/a/back/b") == "404");
    BOOST_TEST(get("/a/b") == "200 content");
}

BOOST_AUTO_TEST_CASE(only_regular_files_are_served_and_at_once) {
    BOOST_REQUIRE(::mkfifo((root / "fifo").c_str(), 0600) == 0);
    const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string socket_path = root / "socket";
    BOOST_REQUIRE(socket_path.size() < sizeof address.sun_path);
    socket_path.copy(address.sun_path, sizeof address.sun_path - 1);
    BOOST_REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) ==
                  0);
    BOOST_TEST(get("/fifo") == "404");
    BOOST_TEST(get("/socket") == "404");
    if (::mknod((root / "device").c_str(), S_IFCHR | 0600, makedev(1, 5)) == 0)
        BOOST_TEST(get("/device") == "404");
    else
        BOOST_TEST_MESSAGE("skipped the device: only root can make one");
}

BOOST_AUTO_TEST_CASE(what_may_not_be_read_is_403) {
    if (::geteuid() == 0) {
        BOOST_TEST_MESSAGE("skipped: root may read everything");
        return;
    }
    write("a", "content");
    fs::permissions(root / "a", fs::perms::none);
    BOOST_TEST(get("/a") == "403");
}

BOOST_AUTO_TEST_CASE(dot_files_are_hidden_unless_wanted) {
    write(".git/config", "secret");
    write(".well-known/a", "known");
    BOOST_TEST(get("/.git/config") == "404");
    BOOST_TEST(get("/.well-known/a") == "200 known");
    served.reset();
    rules.serve_dotfiles = true;
    BOOST_TEST(get("/.git/config") == "200 secret");
}

BOOST_AUTO_TEST_CASE(a_fresh_file_is_served_from_memory_until_a_second_has_passed) {
    write("a", "old");
    BOOST_TEST(get("/a") == "200 old");
    fs::remove(root / "a");
    BOOST_TEST(get("/a") == "200 old");
    BOOST_TEST((files().fresh("/a", now.monotonic) != nullptr));
    pass(Files::freshness);
    BOOST_TEST((files().fresh("/a", now.monotonic) == nullptr));
    BOOST_TEST(get("/a") == "404");
    BOOST_TEST(files().entry_count() == 0U);
    BOOST_TEST(files().byte_count() == 0U);
}

BOOST_AUTO_TEST_CASE(changed_and_replaced_files_are_noticed) {
    const std::string large(100000, 'x');
    for (const std::string& first : {std::string("first"), large}) {
        write("a", first);
        pass(1s);
        BOOST_TEST((get("/a") == "200 " + first));
        write("a", first + "!");
        pass(1s);
        BOOST_TEST((get("/a") == "200 " + first + "!"));
        replace(root / "a", first + "?");
        pass(1s);
        BOOST_TEST((get("/a") == "200 " + first + "?"));
        replace(root / "a", "small");
        pass(1s);
        BOOST_TEST(get("/a") == "200 small");
    }
}

BOOST_AUTO_TEST_CASE(a_file_put_back_to_its_old_time_and_size_is_noticed) {
    write("a", "one");
    const auto time = fs::last_write_time(root / "a");
    const std::string etag(look_up("/a").variants->plain->representation().etag);
    replace(root / "a", "two");
    fs::last_write_time(root / "a", time);
    pass(1s);
    BOOST_TEST(get("/a") == "200 two");
    BOOST_TEST(look_up("/a").variants->plain->representation().etag != etag);
}

BOOST_AUTO_TEST_CASE(an_unchanged_file_is_kept_and_counts_as_used) {
    write("a", "content");
    const auto first = look_up("/a").variants->plain;
    pass(1s);
    BOOST_TEST(look_up("/a").variants->plain == first);
    BOOST_TEST((files().fresh("/a", now.monotonic) != nullptr));
}

BOOST_AUTO_TEST_CASE(a_file_changed_just_now_is_read_again_though_it_looks_the_same) {
    write("a", "content");
    now.wall = ::time(nullptr);
    const auto first = look_up("/a").variants->plain;
    BOOST_TEST(first->may_hide_a_change());
    pass(1s);
    BOOST_TEST(look_up("/a").variants->plain != first);
    now.wall += 3600;
    pass(1s);
    const auto later = look_up("/a").variants->plain;
    pass(1s);
    BOOST_TEST(look_up("/a").variants->plain == later);
}

BOOST_AUTO_TEST_CASE(small_files_lie_in_memory_behind_their_fields) {
    write("small.html", std::string(StaticFile::largest_in_memory, 's'));
    write("large.html", std::string(StaticFile::largest_in_memory + 1, 'l'));
    const auto small = look_up("/small.html").variants->plain;
    BOOST_TEST(small->in_memory());
    BOOST_TEST(small->fields_and_content() ==
               std::string(small->fields()) + std::string(small->content()));
    BOOST_TEST(small->fields().substr(0, 40) == "Content-Type: text/html; charset=utf-8\r\n");
    BOOST_TEST(small->content().size() == StaticFile::largest_in_memory);
    const auto large = look_up("/large.html").variants->plain;
    BOOST_TEST(!large->in_memory());
    BOOST_TEST(large->representation().size == StaticFile::largest_in_memory + 1);
    BOOST_TEST(files().descriptor_count() == 1U);
    files().close_descriptors();
    BOOST_TEST(files().descriptor_count() == 0U);
    BOOST_TEST((files().fresh("/small.html", now.monotonic) != nullptr));
    BOOST_TEST((files().fresh("/large.html", now.monotonic) == nullptr));
    BOOST_TEST(Site::content_of(*large).size() == StaticFile::largest_in_memory + 1);
}

BOOST_AUTO_TEST_CASE(files_of_a_middle_size_are_mapped) {
    std::string content(StaticFile::largest_mapped, 'm');
    content[5] = '!';
    write("middle", content);
    write("large", content + "+");
    const auto middle = look_up("/middle").variants->plain;
    BOOST_TEST(!middle->in_memory());
    BOOST_TEST((middle->mapped({0, content.size() - 1}) == content));
    BOOST_TEST(middle->mapped({4, 6}) == "m!m");
    BOOST_TEST(look_up("/large").variants->plain->mapped({0, content.size()}).empty());
}

BOOST_AUTO_TEST_CASE(a_change_in_the_future_is_dated_now) {
    write("a", "content");
    now.wall = 784111777;
    BOOST_TEST(look_up("/a").variants->plain->representation().modified == 784111777);
}

BOOST_AUTO_TEST_CASE(precompressed_siblings_are_variants) {
    write("a.html", "plain");
    write("a.html.gz", "gzipped");
    write("a.html.br", "brotli");
    write("b.html", "alone");
    const Variants& variants = *look_up("/a.html").variants;
    BOOST_REQUIRE(variants.gzip);
    BOOST_REQUIRE(variants.brotli);
    BOOST_TEST(variants.gzip->content() == "gzipped");
    BOOST_TEST(variants.brotli->content() == "brotli");
    BOOST_TEST(variants.brotli->representation().type == "text/html; charset=utf-8");
    BOOST_TEST(variants.gzip->representation().etag != variants.plain->representation().etag);
    BOOST_TEST(variants.plain->representation().varies);
    BOOST_TEST(!look_up("/b.html").variants->plain->representation().varies);
    RequestHead head;
    head.values[static_cast<std::size_t>(Field::accept_encoding)] = "gzip";
    BOOST_TEST(variants.choose(head)->content() == "gzipped");
    BOOST_TEST(variants.choose(RequestHead{})->content() == "plain");
}

BOOST_AUTO_TEST_CASE(siblings_come_and_go) {
    write("a.html", "plain");
    BOOST_TEST((look_up("/a.html").variants->gzip == nullptr));
    write("a.html.gz", "gzipped");
    pass(1s);
    BOOST_TEST((look_up("/a.html").variants->gzip != nullptr));
    fs::remove(root / "a.html.gz");
    pass(1s);
    BOOST_TEST((look_up("/a.html").variants->gzip == nullptr));
    BOOST_TEST(!look_up("/a.html").variants->plain->representation().varies);
}

BOOST_AUTO_TEST_CASE(a_sibling_made_from_an_older_original_is_not_served) {
    write("a.html", "plain");
    write("a.html.gz", "gzipped");
    const auto of_original = fs::last_write_time(root / "a.html");
    fs::last_write_time(root / "a.html.gz", of_original - 1ms);
    BOOST_TEST((look_up("/a.html").variants->gzip == nullptr));
    pass(1s);
    fs::last_write_time(root / "a.html.gz", of_original);  // as gzip(1) leaves it
    BOOST_TEST((look_up("/a.html").variants->gzip != nullptr));
}

BOOST_AUTO_TEST_CASE(siblings_are_ignored_when_not_wanted) {
    rules.precompressed = false;
    write("a.html", "plain");
    write("a.html.gz", "gzipped");
    BOOST_TEST((look_up("/a.html").variants->gzip == nullptr));
}

BOOST_AUTO_TEST_CASE(memory_and_descriptors_are_bounded) {
    const std::string content(StaticFile::largest_in_memory, 'x');
    const std::size_t fitting = Files::most_bytes / content.size();
    for (std::size_t i = 0; i <= fitting; ++i) {
        const std::string name = "f" + std::to_string(i);
        write(name, content);
        BOOST_TEST((look_up("/" + name).kind == Found::Kind::file));
        fs::remove(root / name);
        BOOST_TEST(files().byte_count() <= Files::most_bytes);
    }
    BOOST_TEST(files().entry_count() < fitting);
    BOOST_TEST((files().fresh("/f0", now.monotonic) == nullptr));
    BOOST_TEST((files().fresh("/f" + std::to_string(fitting), now.monotonic) != nullptr));
    for (std::size_t i = 0; i < Files::most_descriptors + 10; ++i) {
        const std::string name = "g" + std::to_string(i);
        write(name, "");
        fs::resize_file(root / name, 100000);
        BOOST_TEST((look_up("/" + name).kind == Found::Kind::file));
        BOOST_TEST(files().descriptor_count() <= Files::most_descriptors);
    }
}

/// No further descriptor can be opened while it lives.
class FullTable {
  public:
    FullTable() {
        BOOST_REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
        const UniqueFd next(::dup(0));
        const rlimit full{static_cast<rlim_t>(next.get()), before_.rlim_max};
        BOOST_REQUIRE(::setrlimit(RLIMIT_NOFILE, &full) == 0);
    }
    FullTable(const FullTable&) = delete;
    FullTable& operator=(const FullTable&) = delete;
    ~FullTable() { ::setrlimit(RLIMIT_NOFILE, &before_); }

  private:
    rlimit before_{};
};

BOOST_AUTO_TEST_CASE(kept_descriptors_make_room_when_there_are_no_more) {
    write("a", std::string(100000, 'a'));
    write("b", "b");
    BOOST_TEST((look_up("/a").kind == Found::Kind::file));
    {
        const FullTable full;
        BOOST_TEST((look_up("/b").kind == Found::Kind::file));
    }
    BOOST_TEST(files().descriptor_count() == 0U);
}

BOOST_AUTO_TEST_CASE(files_and_their_siblings_are_found_when_connections_have_all_descriptors) {
    write("a", "a");
    write("b", "plain");
    write("b.gz", "gzipped");
    write("b.br", "brotli");
    (void)files();
    for (int round = 0; round < 2; ++round) {
        {
            const FullTable full;
            BOOST_TEST(get("/a") == "200 a");
            const Found found = look_up("/b");
            BOOST_REQUIRE((found.kind == Found::Kind::file));
            BOOST_TEST((found.variants->gzip && found.variants->brotli));
        }
        pass(1s);
    }
}

BOOST_AUTO_TEST_CASE(without_any_descriptor_a_file_is_unavailable_and_later_there) {
    rules.precompressed = false;
    write("large", std::string(100000, 'l'));
    write("more", std::string(100000, 'm'));
    (void)files();
    {
        const FullTable full;
        const auto sending = look_up("/large").variants->plain;  // has what was kept back
        const Found found = look_up("/more");
        BOOST_TEST((found.status == Status::unavailable));
        BOOST_TEST(found.error.value() == EMFILE);
    }
    BOOST_TEST((look_up("/more").kind == Found::Kind::file));
}

BOOST_AUTO_TEST_CASE(what_nobody_asks_for_is_let_go) {
    write("large", std::string(100000, 'l'));
    write("small", "s");
    write("other", "o");
    BOOST_TEST((look_up("/large").kind == Found::Kind::file));
    BOOST_TEST(get("/small") == "200 s");
    pass(59s);
    BOOST_TEST(get("/small") == "200 s");
    BOOST_TEST(files().descriptor_count() == 1U);
    pass(2s);
    BOOST_TEST(get("/other") == "200 o");
    BOOST_TEST(files().descriptor_count() == 0U);
    BOOST_TEST(files().entry_count() == 2U);
}

BOOST_AUTO_TEST_CASE(a_folder_is_listed_as_a_client_could_get_it) {
    rules.listing = true;
    write("a/file", "12345");
    write("a/sub/x", "");
    write("a/.hidden", "");
    write("a/line\nbreak", "");
    write("a/latin\xe4", "");
    write("b/target", "1234567");
    fs::create_symlink("../b/target", root / "a" / "link");
    fs::create_symlink("../../outside", root / "a" / "out");
    fs::create_symlink("nowhere", root / "a" / "broken");
    BOOST_REQUIRE(::mkfifo((root / "a" / "fifo").c_str(), 0600) == 0);
    const auto names = [this] {
        Found found = look_up("/a/");
        BOOST_REQUIRE((found.kind == Found::Kind::listing));
        auto content = read_folder(files().root(), std::move(found.folder), found.path, rules);
        BOOST_REQUIRE(content.has_value());
        BOOST_TEST(!content->is_cut);
        std::vector<std::string> lines;
        for (const ListingEntry& entry : content->entries)
            lines.push_back(entry.name +
                            (entry.is_folder ? "/" : " " + std::to_string(entry.size)));
        std::sort(lines.begin(), lines.end());
        std::string text;
        for (const std::string& line : lines) text += line + ",";
        return text;
    };
    BOOST_TEST(names() == "file 5,link 7,sub/,");
    rules.follow_symlinks = false;
    rules.serve_dotfiles = true;
    BOOST_TEST(names() == ".hidden 0,file 5,sub/,");
}

BOOST_AUTO_TEST_CASE(a_long_listing_is_cut) {
    rules.listing = true;
    for (std::size_t i = 0; i <= most_listed; ++i) write("a/" + std::to_string(i), "");
    Found found = look_up("/a/");
    const auto content = read_folder(files().root(), std::move(found.folder), found.path, rules);
    BOOST_REQUIRE(content.has_value());
    BOOST_TEST(content->is_cut);
    BOOST_TEST(content->entries.size() == most_listed);
}

// Time stamps are as coarse as the kernel's tick. Whoever had got the first of two states of one
// tick and size was told forever that it was the current one.
BOOST_AUTO_TEST_CASE(a_file_changed_twice_within_a_tick_has_another_tag) {
    const auto tag_of = [this](const std::string& content) {
        write("a", content);
        UniqueFd file(::open((root / "a").c_str(), O_RDONLY | O_CLOEXEC));
        const auto made =
            StaticFile::make({std::move(file), {.inode = 1, .size = 3}}, {"text/plain"}, {}, 0);
        BOOST_REQUIRE(made.has_value());
        return std::string((*made)->representation().etag);
    };
    const std::string first = tag_of("one");
    BOOST_TEST(tag_of("two") != first);
    BOOST_TEST(tag_of("one") == first);
}

BOOST_AUTO_TEST_CASE(a_small_files_tag_tells_content_and_coding_and_nothing_of_its_machine) {
    const FileIdentity here{1, 2, 3, 4, 5}, there{6, 7, 3, 8, 9};
    std::vector<std::string> tags{
        make_etag(here, Coding::identity, "abc"), make_etag(here, Coding::identity, "abd"),
        make_etag(here, Coding::gzip, "abc"), make_etag(here, Coding::brotli, "abc"),
        make_etag({1, 2, 4, 4, 5}, Coding::identity, "abcd")};
    BOOST_TEST(make_etag(there, Coding::identity, "abc") == tags.front());
    std::sort(tags.begin(), tags.end());
    BOOST_TEST((std::adjacent_find(tags.begin(), tags.end()) == tags.end()));
    BOOST_TEST(tags.front().front() == '"');
    BOOST_TEST(tags.front().back() == '"');
}

BOOST_AUTO_TEST_CASE(a_large_files_tag_differs_with_each_part_of_its_identity) {
    const FileIdentity base{1, 2, 3, 4, 5};
    std::vector<std::string> tags{make_etag(base, Coding::identity, ""),
                                  make_etag(base, Coding::gzip, "")};
    for (const FileIdentity& other : {FileIdentity{9, 2, 3, 4, 5},
                                      {1, 9, 3, 4, 5},
                                      {1, 2, 9, 4, 5},
                                      {1, 2, 3, 9, 5},
                                      {1, 2, 3, 4, 9},
                                      {1, 2, 3, 5, 4}})
        tags.push_back(make_etag(other, Coding::identity, ""));
    std::sort(tags.begin(), tags.end());
    BOOST_TEST((std::adjacent_find(tags.begin(), tags.end()) == tags.end()));
}

BOOST_AUTO_TEST_SUITE_END()
