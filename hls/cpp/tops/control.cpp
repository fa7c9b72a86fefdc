#include "tops.hpp"

void top_control(const std::uint32_t (&store)[tops::FEATURE_WORDS], cfm::Program program, std::uint32_t index,
                 cfm::Header& header, cfm::Record& record, cfm::Operation& operation) {
    header = cfm::read_header<tops::PE, tops::L>(store);
    record = cfm::read_record(store, program, index);
    operation = cfm::read_operation<tops::L>(store, record.operation);
}
