#pragma once

#include <functional>
#include <string>
#include <vector>

#include "worker/services/board_pages.hpp"

namespace preforkd::worker::board {

/// Where every page of one committed state is: in a tree, behind one of its values, or on the list
/// of free pages; each in one place alone. A page number that was damaged, or a page whose write
/// the disk lost, leads to a page that is sound in itself but of an earlier time: it has another
/// place, and what should be there has none. Source: LMDB 0.9, mdb.c, mdb_audit().
class PageAccount final : private TreeVisitor {
  public:
    /// Hears what is wrong, as a sentence without the file's name. `pages` outlives the account.
    using OnFault = std::function<void(const std::string& fault)>;
    PageAccount(const Pages& pages, OnFault on_fault);

    /// These pages have been met. Returns whether it was the first time.
    bool take(std::uint64_t first, std::uint64_t count);

    /// Something can't be followed, so pages that are met nowhere are no surprise.
    void lose() noexcept { has_lost_ = true; }

    /// Requires: all of the tree of messages was taken. Takes the list of free pages, and tells
    /// what is nowhere.
    void close();

  private:
    bool on_page(std::uint64_t number) override;
    bool on_entry(const Entry& entry) override;
    bool on_damage(std::uint64_t number) override;
    void tell_missing();

    const Pages& pages_;
    const OnFault on_fault_;
    std::vector<bool> is_taken_;
    bool has_lost_ = false;
};

}  // namespace preforkd::worker::board
