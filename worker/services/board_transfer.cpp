#include "worker/services/board_transfer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "shared/exit_code.hpp"
#include "shared/syscalls.hpp"
#include "worker/services/board_account.hpp"
#include "worker/services/board_protocol.hpp"
#include "worker/services/board_record.hpp"
#include "worker/services/board_signals.hpp"
#include "worker/services/board_store.hpp"
#include "worker/services/board_turn_limit.hpp"

namespace preforkd::worker::board {
namespace {

constexpr std::size_t max_import_line = std::size_t{1} << 20;
constexpr std::size_t chunk_size = 65536;
constexpr std::size_t batch_size = 10'000;

[[noreturn]] void fail(std::string_view what, const error_code& error) {
    throw StartupError(exit_failure, fmt::format("{}: {}", what, error.message()));
}

// A board that LMDB would not open, mapped as it is.
class Wreck {
  public:
    explicit Wreck(const std::string& path) : file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
        if (!file_.is_open()) fail(path, last_error());
        const auto header = read_header(file_.get());
        if (!header) fail(path, header.error());
        meta_ = soundest(*header);
        struct stat status {};
        if (!meta_ || ::fstat(file_.get(), &status) < 0) return;
        size_ = static_cast<std::size_t>(status.st_size);
        if (size_ < meta_->free.page_size) return;
        void* const map = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file_.get(), 0);
        if (map == MAP_FAILED) fail(path, last_error());
        map_ = static_cast<const char*>(map);
        meta_->last_page =
            std::min<std::uint64_t>(meta_->last_page, size_ / meta_->free.page_size - 1);
    }
    ~Wreck() {
        if (map_ != nullptr) ::munmap(const_cast<char*>(map_), size_);
    }
    Wreck(const Wreck&) = delete;
    Wreck& operator=(const Wreck&) = delete;

    /// None if no header can be used.
    [[nodiscard]] std::optional<Pages> pages() const {
        if (map_ == nullptr) return std::nullopt;
        return Pages(map_, *meta_);
    }

  private:
    static std::optional<Meta> soundest(const Header& header) {
        if (header.are_sound[0] && header.are_sound[1]) return header.newest();
        if (header.are_sound[0]) return header.metas[0];
        if (header.are_sound[1]) return header.metas[1];
        return std::nullopt;
    }

    UniqueFd file_;
    std::optional<Meta> meta_;
    const char* map_ = nullptr;
    std::size_t size_ = 0;
};

// Goes through all messages and tells of every number that is missing or damaged.
class Examination : public TreeVisitor {
  public:
    Examination(const Pages& pages, const Progress& progress, const OnFault& on_fault)
        : pages_(pages),
          end_(first_number + pages.meta().messages.entries),
          progress_(progress),
          on_fault_(on_fault),
          account_(pages, [this](const std::string& fault) { tell(fault); }) {}
    virtual ~Examination() = default;
    Examination(const Examination&) = delete;
    Examination& operator=(const Examination&) = delete;

    void examine() {
        if (const auto fault = pages_.fault_of_age(); !fault.empty()) tell("it " + fault);
        pages_.walk(pages_.meta().messages, *this);
        miss_up_to(end_);
        account_.close();
        progress_(end_ - first_number, end_ - first_number);
    }

    [[nodiscard]] Examined result() const { return result_; }

    bool on_page(std::uint64_t number) override { return account_.take(number, 1); }

    bool on_entry(const Entry& entry) override {
        if (entry.pages > 0) static_cast<void>(account_.take(entry.first_page, entry.pages));
        if (entry.key < next_ || entry.key >= end_) {
            tell(fmt::format("message {} lies where it doesn't belong", entry.key));
            return true;
        }
        miss_up_to(entry.key);
        next_ = entry.key + 1;
        if (const auto text = decode_record(entry.key, entry.value)) {
            ++result_.messages;
            on_message(entry.key, *text);
        } else {
            tell(fmt::format("message {} is damaged", entry.key));
        }
        if (next_ % 65536 == 0) progress_(next_ - first_number, end_ - first_number);
        return true;
    }

    bool on_damage(std::uint64_t number) override {
        account_.lose();
        tell(fmt::format("page {} is damaged", number));
        return true;
    }

  protected:
    void tell(const std::string& fault) {
        ++result_.faults;
        on_fault_(fault);
    }

  private:
    virtual void on_message(std::uint64_t, std::string_view) {}

    void miss_up_to(std::uint64_t number) {
        if (next_ + 1 == number)
            tell(fmt::format("message {} is missing", next_));
        else if (next_ < number)
            tell(fmt::format("messages {} to {} are missing", next_, number - 1));
        next_ = number;
    }

    const Pages& pages_;
    const std::uint64_t end_;
    const Progress& progress_;
    const OnFault& on_fault_;
    PageAccount account_;
    std::uint64_t next_ = first_number;
    Examined result_;
};

class Export final : public Examination {
  public:
    Export(const Pages& pages, int out, const Progress& progress, const OnFault& on_fault)
        : Examination(pages, progress, on_fault), out_(out) {}

    void flush() {
        if (const auto error = write_all(out_, lines_)) fail("can't write the text", error);
        lines_.clear();
    }

  private:
    void on_message(std::uint64_t number, std::string_view text) override {
        fmt::format_to(std::back_inserter(lines_), "{}/{}\n", number, text);
        if (lines_.size() >= chunk_size) flush();
    }

    int out_;
    std::string lines_;
};

// Shows `examine` the board's pages: a snapshot of it, or what is left of a wreck. Returns the
// faults that were found on the way.
std::uint64_t with_pages(const std::string& path, const OnFault& on_fault,
                         const std::function<void(const Pages&)>& examine) {
    StoreOptions options;
    options.salvage = true;
    options.read_only = true;
    std::optional<Store> store;
    try {
        store.emplace(path, options);
    } catch (const StartupError& error) {
        if (error.exit_code() == exit_no_privilege) throw;
        const Wreck wreck(path);
        const auto pages = wreck.pages();
        if (!pages) throw;
        on_fault(std::string(error.what()).substr(path.size() + 2));
        examine(*pages);
        return 1;
    }
    Reader reader(*store);
    const auto snapshot = reader.snapshot();
    if (!snapshot) fail(path, snapshot.error());
    examine(snapshot->pages());
    return 0;
}

// The lines of a descriptor, one after the other.
class Lines {
  public:
    explicit Lines(int in) : in_(in) {
        struct stat status {};
        if (::fstat(in_, &status) == 0 && S_ISREG(status.st_mode))
            total_ = static_cast<std::uint64_t>(status.st_size);
    }

    std::optional<LineReader::Line> next() {
        for (;;) {
            if (const auto line = reader_.next(received_)) {
                ++number_;
                return line;
            }
            const auto got = read_some();
            if (got > 0) continue;
            // The last line may lack its end.
            if (reader_.is_between_lines()) return std::nullopt;
            received_ = "\n";
        }
    }

    [[nodiscard]] std::uint64_t number() const { return number_; }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    [[nodiscard]] std::uint64_t total() const { return total_; }

  private:
    std::size_t read_some() {
        ssize_t got = 0;
        do got = ::read(in_, chunk_.data(), chunk_.size());
        while (got < 0 && errno == EINTR);
        if (got < 0) fail("can't read the text", last_error());
        bytes_ += static_cast<std::size_t>(got);
        received_ = {chunk_.data(), static_cast<std::size_t>(got)};
        return static_cast<std::size_t>(got);
    }

    int in_;
    LineReader reader_{max_import_line};
    std::vector<char> chunk_ = std::vector<char>(chunk_size);
    std::string_view received_;
    std::uint64_t number_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint64_t total_ = 0;
};

class Import {
  public:
    Import(const std::string& path, const ImportOptions& options, const Progress& progress)
        : store_(path, created()), options_(options), progress_(progress) {
        const auto snapshot = reader_.snapshot();
        if (!snapshot) fail(path, snapshot.error());
        next_ = snapshot->end();
    }

    void take(const LineReader::Line& line, std::uint64_t line_number) {
        const auto slash = line.text.find('/');
        const auto text =
            slash == std::string_view::npos ? std::string_view() : line.text.substr(slash + 1);
        const auto number = parse_number(line.text.substr(0, slash));
        if (const auto fault = fault_of(line, number, text); !fault.empty()) {
            commit();
            throw StartupError(exit_failure,
                               fmt::format("line {} of the text: {}", line_number, fault));
        }
        if (*number < next_) {
            ++result_.skipped;
            return;
        }
        fill_up_to(*number);
        add(text);
        ++result_.messages;
    }

    [[nodiscard]] Imported result() const { return result_; }

    /// After a fault: what there is now, and how to go on.
    [[nodiscard]] std::string kept() {
        const auto snapshot = reader_.snapshot();
        if (!snapshot || snapshot->end() == first_number) return "nothing was imported";
        return fmt::format(
            "the messages before it were imported (up to number {}); correct it and import again: "
            "what is there already is skipped",
            snapshot->end() - 1);
    }

    // Nobody else can write meanwhile, so a terminal's Ctrl-Z has to wait, and a STOP, which can't,
    // ends this process after a while.
    void commit() {
        if (texts_.empty()) return;
        const SignalsBlocked blocked(stops_of_terminals());
        limit_.begin();
        write();
        limit_.end();
        store_.announce();
        texts_.clear();
    }

  private:
    void write() {
        auto transaction = Transaction::begin(store_);
        if (!transaction) fail("can't write", transaction.error());
        auto number = next_ - texts_.size();
        for (const auto& text : texts_) {
            const auto stored = transaction->append(text);
            if (!stored) fail("can't write", stored.error());
            if (*stored != number++)
                throw StartupError(exit_failure,
                                   "somebody else has written to the board meanwhile; import "
                                   "when nobody does");
        }
        if (const auto error = transaction->commit()) fail("can't write", error);
    }

    static StoreOptions created() {
        StoreOptions options;
        options.create = true;
        return options;
    }

    [[nodiscard]] std::string fault_of(const LineReader::Line& line,
                                       const std::optional<std::uint64_t>& number,
                                       std::string_view text) const {
        const auto slash = text.find('/');
        if (line.is_overlong) return fmt::format("it is longer than {} bytes", max_import_line);
        if (!number || slash == std::string_view::npos) return "it is not number/poster/message";
        if (*number < next_) return fault_of_old(*number, text);
        if (const auto missing = *number - next_; missing > options_.fill_gaps)
            return fmt::format(
                "message {} comes where {} was expected; with --fill-gaps{} a placeholder takes "
                "the place of what is missing, for good",
                *number, next_, missing > usual_gap ? fmt::format("={}", missing) : "");
        if (slash == 0) return "the poster's name is missing";
        const auto name = name_fault(text.substr(0, slash));
        return std::string(name.empty() ? message_fault(text.substr(slash + 1)) : name);
    }

    [[nodiscard]] std::string fault_of_old(std::uint64_t number, std::string_view text) const {
        const auto first_gathered = next_ - texts_.size();
        if (number >= first_gathered) {
            if (texts_[number - first_gathered] == text) return {};
        } else {
            const auto snapshot = reader_.snapshot();
            const auto stored =
                snapshot ? snapshot->read(number) : Result<std::string_view>(snapshot.error());
            if (!stored) return fmt::format("message {}: {}", number, stored.error().message());
            if (*stored == text) return {};
        }
        return fmt::format(
            "message {} is there already, with other words; the board goes on with "
            "{}",
            number, next_);
    }

    void fill_up_to(std::uint64_t number) {
        while (next_ < number) {
            add(placeholder);
            if (++result_.placeholders % 65536 == 0) progress_(result_.placeholders, 0);
        }
    }

    void add(std::string_view text) {
        texts_.emplace_back(text);
        ++next_;
        if (texts_.size() == batch_size) commit();
    }

    Store store_;
    mutable Reader reader_{store_};
    const ImportOptions options_;
    const Progress& progress_;
    TurnLimit limit_{longest_turn};
    Pulse pulse_{limit_};
    std::uint64_t next_ = 0;
    std::vector<std::string> texts_;
    Imported result_;
};

}  // namespace

Examined export_board(const std::string& path, int out, const Progress& progress,
                      const OnFault& on_fault) {
    Examined result;
    const auto faults = with_pages(path, on_fault, [&](const Pages& pages) {
        Export work(pages, out, progress, on_fault);
        work.examine();
        work.flush();
        result = work.result();
    });
    result.faults += faults;
    return result;
}

Examined check_board(const std::string& path, const Progress& progress, const OnFault& on_fault) {
    Examined result;
    const auto faults = with_pages(path, on_fault, [&](const Pages& pages) {
        Examination work(pages, progress, on_fault);
        work.examine();
        result = work.result();
    });
    result.faults += faults;
    return result;
}

Imported import_board(const std::string& path, int in, const ImportOptions& options,
                      const Progress& progress) {
    Import work(path, options, progress);
    Lines lines(in);
    try {
        while (const auto line = lines.next()) {
            work.take(*line, lines.number());
            if (lines.number() % 65536 == 0) progress(lines.bytes(), lines.total());
        }
        work.commit();
    } catch (const StartupError& error) {
        throw StartupError(error.exit_code(),
                           fmt::format("{}: {}; {}", path, error.what(), work.kept()));
    }
    progress(lines.bytes(), lines.total());
    return work.result();
}

}  // namespace preforkd::worker::board
