#pragma once

#include <fcntl.h>

#include <fstream>
#include <memory>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "tests/unit/engine_fixture.hpp"
#include "tests/unit/http_text.hpp"
#include "tests/unit/temporary_folder.hpp"
#include "worker/access_log.hpp"
#include "worker/services/http.hpp"

namespace preforkd::test {

/// A file server in this process, with a folder and a clock of the test's own.
struct HttpFixture {
    HttpFixture() {
        options.index = {{"index.html"}};
        write("index.html", "top");
        write("a.txt", "hello");
    }

    void write(const std::string& name, const std::string& content) const {
        std::filesystem::create_directories((root / name).parent_path());
        std::ofstream(root / name, std::ios::binary) << content;
    }

    /// With the options as they are now. Done by the first connection if not before.
    void start() {
        root_descriptor.reset(::open(root.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        access_file.reset(::memfd_create("access", MFD_CLOEXEC));
        access_log.redirect(UniqueFd(::dup(access_file.get())));
        context = std::make_unique<ServiceContext>(
            "web", options,
            std::map<std::string, int, std::less<>>{{"root", root_descriptor.get()}},
            server.log.logger, &access_log);
        context->keep_copies(copies());
        http.start(*context);
        context->keep_copies({});
    }

    /// What a master would hand down.
    ServiceContext::Copies copies() {
        ServiceContext::Copies found;
        pages.clear();
        for (const auto& page : options.error_page) {
            std::ostringstream content;
            content << std::ifstream(page.file, std::ios::binary).rdbuf();
            pages.push_back(content.str());
        }
        for (std::size_t i = 0; i < pages.size(); ++i) found[{"error_page", i}] = pages[i];
        return found;
    }

    Peer connect() {
        if (!context) start();
        return server.connect();
    }

    /// What comes back for `bytes`, sent at once on a new connection.
    std::string exchange(const std::string& bytes) {
        Peer peer = connect();
        return exchange(peer, bytes);
    }
    std::string exchange(Peer& peer, const std::string& bytes) {
        BOOST_REQUIRE(peer.send(bytes) == bytes.size());
        std::string answer;
        for (;;) {
            server.settle();
            const std::string more = peer.receive();
            if (more.empty()) return answer;
            answer += more;
        }
    }

    /// A GET with these field lines, on a connection that stays.
    static std::string get(const std::string& path, const std::string& fields = "") {
        return "GET " + path + " HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
    }

    void tick(int seconds) {
        for (int i = 0; i < seconds; ++i) server.engine.tick();
        server.settle();
    }

    std::string access_lines() {
        access_log.flush();
        return read_all(access_file, 1 << 20).value();
    }

    TemporaryFolder root;
    worker::http::Options options;
    std::vector<std::string> pages;
    UniqueFd root_descriptor;
    UniqueFd access_file;
    worker::Http http;
    std::unique_ptr<ServiceContext> context;
    EngineFixture server{[this](Connection& client) { return http.serve(client); }};
    worker::AccessLog access_log{server.engine.context()};
};

}  // namespace preforkd::test
