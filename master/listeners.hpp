#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>
#include "shared/config.hpp"
#include "shared/unique_fd.hpp"
namespace preforkd::master {
class ListenerSet {
  public:
    struct One {
        std::string section;
        Address address;
        std::shared_ptr<UniqueFd> fd;
        std::string bound;
    };
    static ListenerSet open(const Config& c, const std::vector<ServiceSpec>&, int,
                            const std::string&) {
        ListenerSet none;
        return none.rebind(c, {});
    }
    ListenerSet rebind(const Config& candidate, const std::vector<ServiceSpec>&) const;
    std::vector<const UniqueFd*> sockets_of(const std::string& name) const {
        std::vector<const UniqueFd*> r;
        for (auto& o : all_)
            if (o.section == name) r.push_back(o.fd.get());
        return r;
    }
    std::vector<std::pair<std::string, std::string>> addresses() const {
        std::vector<std::pair<std::string, std::string>> r;
        for (auto& o : all_) r.emplace_back(o.section, o.bound);
        return r;
    }

  private:
    std::vector<One> all_;
};
}  // namespace preforkd::master
