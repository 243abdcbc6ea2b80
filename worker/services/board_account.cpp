#include "worker/services/board_account.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace preforkd::worker::board {

PageAccount::PageAccount(const Pages& pages, OnFault on_fault)
    : pages_(pages), on_fault_(std::move(on_fault)), is_taken_(pages.meta().last_page + 1) {
    is_taken_[0] = is_taken_[1] = true;  // the metas
}

bool PageAccount::take(std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t page = first; page < first + count; ++page) {
        if (is_taken_.at(page)) {
            on_fault_(fmt::format("page {} is in two places; what is there may be old", page));
            return false;
        }
        is_taken_[page] = true;
    }
    return true;
}

void PageAccount::close() {
    pages_.walk(pages_.meta().free, *this);
    if (!has_lost_) tell_missing();
}

bool PageAccount::on_page(std::uint64_t number) {
    return take(number, 1);
}

bool PageAccount::on_entry(const Entry& entry) {
    if (entry.pages > 0) static_cast<void>(take(entry.first_page, entry.pages));
    const auto free = free_pages(entry, pages_.meta());
    if (!free) {
        on_fault_("its list of free pages is damaged");
        lose();
        return false;
    }
    return std::ranges::all_of(*free, [this](std::uint64_t page) { return take(page, 1); });
}

bool PageAccount::on_damage(std::uint64_t number) {
    on_fault_(fmt::format("page {}, of its list of free pages, is damaged", number));
    lose();
    return true;
}

void PageAccount::tell_missing() {
    const auto begin = is_taken_.begin();
    for (auto at = begin; (at = std::find(at, is_taken_.end(), false)) != is_taken_.end();) {
        const auto end = std::find(at, is_taken_.end(), true);
        if (end - at == 1)
            on_fault_(
                fmt::format("page {} is in no place; what should be there is lost", at - begin));
        else
            on_fault_(fmt::format("pages {} to {} are in no place; what should be there is lost",
                                  at - begin, end - begin - 1));
        at = end;
    }
}

}  // namespace preforkd::worker::board
