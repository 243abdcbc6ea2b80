#pragma once

#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "client.hpp"
#include "unit/process_support.hpp"

namespace preforkd::testing {

/// A folder whose files everybody may read, whatever the umask is.
struct Site {
    TempFolder folder;
    std::string root = folder / "site";

    Site() {
        open_to_all(folder.path());
        make_folder("");
    }

    void make_folder(const std::string& name) const {
        std::filesystem::create_directory(root + "/" + name);
        open_to_all(root + "/" + name);
    }

    void write(const std::string& name, const std::string& content) const {
        const std::string path = root + "/" + name;
        std::ofstream(path, std::ios::binary) << content;
        BOOST_REQUIRE(::chmod(path.c_str(), 0644) == 0);
    }

  private:
    static void open_to_all(const std::string& path) {
        BOOST_REQUIRE(::chmod(path.c_str(), 0755) == 0);
    }
};

/// The head of a GET; `fields` are whole lines.
inline std::string request(const std::string& path, const std::string& connection,
                           const std::string& fields = "") {
    return "GET " + path + " HTTP/1.1\r\nHost: test\r\nConnection: " + connection + "\r\n" +
           fields + "\r\n";
}

/// A whole answer to the only request of a connection.
inline std::string fetch(const std::string& address, const std::string& path,
                         const std::string& fields = "") {
    Client client(address);
    client.send(request(path, "close", fields));
    return client.receive_rest();
}

}  // namespace preforkd::testing
