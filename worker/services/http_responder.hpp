#pragma once

#include <preforkd/service.hpp>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "worker/services/http_access_line.hpp"
#include "worker/services/http_conditional.hpp"
#include "worker/services/http_files.hpp"
#include "worker/services/http_options.hpp"
#include "worker/services/http_range.hpp"
#include "worker/services/http_response.hpp"

namespace preforkd::worker::http {

/// What follows the gathered head of a response and has to be waited for: pieces of a large file,
/// or a long page.
struct Delivery {
    struct Part {
        std::string before;
        ByteRange range;
    };
    std::shared_ptr<const StaticFile> file{};  ///< null: there are no parts
    std::vector<Part> parts{};
    std::string after{};
    std::shared_ptr<const Page> page{};  ///< not null: its content comes after all that
    bool yields = false;  ///< it took long to make: others have their turn before what is pipelined

    std::string log_line{};         ///< for when all of it was sent
    std::string failed_log_line{};  ///< for when not
};

/// The lists of folders that were made last, for as long as files are taken for unchanged: a long
/// one takes tens of milliseconds to make, and those who ask at the same time share it.
class Listings {
  public:
    /// Null when none was made of this clean path shortly before `now`.
    [[nodiscard]] std::shared_ptr<const Page> fresh(std::string_view path, TimePoint now) const;
    void keep(std::string path, std::shared_ptr<const Page> page, TimePoint now);

  private:
    static constexpr std::size_t most_pages = 4;
    static constexpr std::size_t largest_page = 2U << 20;

    struct Kept {
        std::string path;
        std::shared_ptr<const Page> page;
        TimePoint made;
    };
    std::array<Kept, most_pages> kept_;
    std::size_t oldest_ = 0;
};

/// Turns requests into responses, gathered in the connection's output.
class Responder {
  public:
    /// Opens the root and reads the files that the options name. `context` outlives this. Throws
    /// std::runtime_error with what can't be used and why.
    Responder(ServiceContext& context, const Options& options);

    /// To be called before the requests of one turn of the event loop.
    void renew(const Moment& now) noexcept;

    /// Answers a request whose body has been read. Not null: what is still to be delivered.
    [[nodiscard]] std::unique_ptr<Delivery> respond(Connection& client, const RequestHead& head,
                                                    bool persists);

    /// Answers with the status's page.
    void respond_with(Connection& client, const RequestHead& head, Status status, bool persists);

    /// Writes a log line that was kept until its response was out.
    void log(std::string_view line) const { context_.log_access(line); }

    [[nodiscard]] Files& files() noexcept { return files_; }

  private:
    using Rest = std::unique_ptr<Delivery>;
    using File = std::shared_ptr<const StaticFile>;

    /// A request that is being answered.
    struct Exchange {
        Connection& client;
        const RequestHead& head;
        Persistence persistence;
        [[nodiscard]] bool wants_content() const noexcept { return head.method != Method::head; }
    };

    [[nodiscard]] Rest answer_path(const Exchange& exchange);
    [[nodiscard]] Rest answer_found(const Exchange& exchange, Found found);
    void tell_refusal(std::string_view path, const Found& found);
    [[nodiscard]] Rest answer_file(const Exchange& exchange, const Variants& variants);
    [[nodiscard]] bool is_answered_by_conditions(const Exchange& exchange,
                                                 const Validators& current, std::string_view fields,
                                                 std::string_view more = {});
    [[nodiscard]] Rest send_whole(const Exchange& exchange, const File& file);
    [[nodiscard]] Rest send_ranges(const Exchange& exchange, const File& file, const RangeSet& set);
    [[nodiscard]] Rest send_listing(const Exchange& exchange, Found found);
    [[nodiscard]] std::shared_ptr<const Page> listing_of(Found found);
    [[nodiscard]] std::shared_ptr<const Page> make_listing(Found found);
    [[nodiscard]] Rest deliver(const Exchange& exchange, Status status, std::uint64_t size,
                               Delivery delivery);
    void send_redirect(const Exchange& exchange, std::string_view path);
    void send_unsatisfiable(const Exchange& exchange, const Representation& file);
    void send_page(const Exchange& exchange, Status status, const Page& page,
                   std::string_view first_field = {});
    void put_head(const Exchange& exchange, Status status, std::string_view fields,
                  std::string_view content = {});
    void log_request(const Exchange& exchange, Status status, std::uint64_t content_size);

    ServiceContext& context_;
    MimeTypes types_;
    Files files_;
    Pages pages_;
    Listings listings_;
    HeadStarts starts_;
    Moment now_;
    unsigned lookups_ = 0;  ///< since renew()
    TimePoint silent_until_{};
    AccessLines lines_;
    std::string boundary_;
};

}  // namespace preforkd::worker::http
