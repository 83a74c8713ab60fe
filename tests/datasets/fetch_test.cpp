#include <archive.h>
#include <archive_entry.h>
#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <openssl/evp.h>

#include <perch/datasets/cifar10.h>
#include <perch/datasets/fetch.h>

#include "tests/support/errors.h"
#include "tests/support/http_server.h"
#include "tests/support/temp_folder.h"

using namespace perch;
using Catch::Contains;
using datasets::FetchOptions;
using test::error_of;
using test::HttpAnswer;
using test::HttpRequest;
using test::HttpServer;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t batch_size = 2 * 3073;

struct Member {
  std::string path, content;
  std::string symlink = {}, hardlink = {};
};

std::vector<Member> good_members() {
  std::vector<Member> members;
  for (const std::string& name : datasets::cifar10_batch_files()) {
    std::string content;
    // Noise, so that the archive does not shrink to nothing.
    for (std::uint32_t i = 0, x = 1; i < batch_size; ++i) {
      x = x * 1664525u + 1013904223u;
      content += i % 3073 == 0 ? '\5' : static_cast<char>(x >> 24);
    }
    members.push_back({"cifar-10-batches-bin/" + name, content});
  }
  members.push_back({"cifar-10-batches-bin/batches.meta.txt", "airplane\n"});
  members.push_back({"cifar-10-batches-bin/readme.html", "<html>"});
  return members;
}

std::string tar_gz(const std::vector<Member>& members) {
  std::string bytes(1 << 20, '\0');
  std::size_t used = 0;
  archive* const out = archive_write_new();
  archive_write_add_filter_gzip(out);
  archive_write_set_format_pax_restricted(out);
  archive_write_open_memory(out, bytes.data(), bytes.size(), &used);
  for (const Member& member : members) {
    archive_entry* const entry = archive_entry_new();
    archive_entry_set_pathname(entry, member.path.c_str());
    archive_entry_set_filetype(entry, member.symlink.empty() ? AE_IFREG : AE_IFLNK);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, static_cast<la_int64_t>(member.content.size()));
    if (!member.symlink.empty()) archive_entry_set_symlink(entry, member.symlink.c_str());
    if (!member.hardlink.empty()) archive_entry_set_hardlink(entry, member.hardlink.c_str());
    archive_write_header(out, entry);
    archive_write_data(out, member.content.data(), member.content.size());
    archive_entry_free(entry);
  }
  archive_write_close(out);
  archive_write_free(out);
  bytes.resize(used);
  return bytes;
}

std::string sha256(const std::string& bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_sha256(), nullptr);
  std::string text;
  for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

/// A destination, and options that expect `archive` there.
struct Fetch {
  explicit Fetch(std::string bytes = tar_gz(good_members())) : archive(std::move(bytes)) {
    options.to = folder.path();
    options.retry_delay = std::chrono::milliseconds(1);
    options.archive = {.size = static_cast<std::int64_t>(archive.size()),
                       .sha256 = sha256(archive),
                       .batch_file_size = batch_size};
  }
  datasets::FetchResult from(const std::string& url) {
    options.mirrors = {url};
    return datasets::fetch_cifar10(options);
  }
  std::string error(ErrorCode code, const std::string& url) {
    return error_of(code, [&] { from(url); });
  }
  /// Names of what is in the destination.
  std::vector<std::string> left() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder.path())) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }
  fs::path part() const { return folder / "cifar-10-binary.tar.gz.part"; }

  test::TempFolder folder;
  std::string archive;
  FetchOptions options;
};

const std::vector<std::string> installed{"cifar-10-batches-bin"};
const std::vector<std::string> nothing{};

HttpServer::Handler serves(const std::string& bytes) {
  return [bytes](const HttpRequest&) { return HttpAnswer{.body = bytes}; };
}

}  // namespace

TEST_CASE("a fetched archive is installed whole, and left alone the next time") {
  Fetch fetch;
  const HttpServer server(serves(fetch.archive));
  std::int64_t last = 0;
  fetch.options.progress = [&](const datasets::FetchProgress& progress) {
    CHECK(progress.total == fetch.options.archive.size);
    last = progress.received;
    return true;
  };
  const auto result = fetch.from(server.url("/"));
  CHECK(result.downloaded == fetch.options.archive.size);
  CHECK(last == fetch.options.archive.size);
  CHECK(server.requests().at(0).path == "/cifar-10-binary.tar.gz");
  CHECK(fetch.left() == installed);
  for (const auto& member : good_members()) {
    CHECK(test::read_file(fetch.folder / member.path) == member.content);
  }
  CHECK(datasets::cifar10(fetch.folder.path()).train.size() == 10);

  const auto again = fetch.from(server.url());
  CHECK(again.already_there);
  CHECK(server.requests().size() == 1);
}

TEST_CASE("a download that is cut off again and again continues where it was") {
  Fetch fetch;
  const bool ranges = GENERATE(true, false);
  const std::int64_t third = fetch.options.archive.size / 3 + 1;
  const HttpServer server([&](const HttpRequest& request) {
    return HttpAnswer{.body = fetch.archive,
                      .honours_range = ranges,
                      .cut_after = request.number < 2 ? third : -1};
  });
  const auto result = fetch.from(server.url());
  CHECK(fetch.left() == installed);
  REQUIRE(server.requests().size() == 3);
  CHECK(server.requests()[1].range_begin == third);
  CHECK(result.downloaded == fetch.options.archive.size + (ranges ? 0 : 2 * third));
}

TEST_CASE("a later run takes up what an earlier one left") {
  Fetch fetch;
  const std::int64_t some = 1000;
  {
    const HttpServer server([&](const HttpRequest& request) {
      return HttpAnswer{.body = fetch.archive, .cut_after = request.number == 0 ? some : 0};
    });
    CHECK_THAT(fetch.error(ErrorCode::io, server.url()),
               Contains("continues where this one ended") && Contains("--data DIR"));
    CHECK(static_cast<int>(server.requests().size()) == fetch.options.attempts);
  }
  CHECK(fs::file_size(fetch.part()) == 1000);
  const HttpServer server(serves(fetch.archive));
  CHECK(fetch.from(server.url()).downloaded == fetch.options.archive.size - some);
  CHECK(fetch.left() == installed);
}

TEST_CASE("a spoilt beginning from an earlier run is replaced") {
  Fetch fetch;
  test::write_file(fetch.part(), "something else");
  const HttpServer server(serves(fetch.archive));
  fetch.from(server.url());
  CHECK(fetch.left() == installed);
  CHECK(server.requests().size() == 2);
}

TEST_CASE("a wrong archive is removed and nothing is installed") {
  Fetch fetch;
  std::string wrong = fetch.archive;
  wrong[wrong.size() / 2] ^= 1;
  const bool announced = GENERATE(true, false);
  const auto error_with = [&](const std::string& body) {
    const HttpServer server([&](const HttpRequest&) {
      return HttpAnswer{.body = body, .announces_length = announced};
    });
    return fetch.error(ErrorCode::bad_data, server.url());
  };
  CHECK_THAT(error_with(wrong), Contains("SHA-256") && Contains(fetch.options.archive.sha256));
  CHECK(fetch.left() == nothing);
  CHECK_THAT(error_with(fetch.archive + "more"), Contains("right"));
  CHECK(fetch.left() == nothing);
}

TEST_CASE("a file of another size is refused before it is downloaded") {
  Fetch fetch;
  const HttpServer server(serves("a short page"));
  CHECK_THAT(fetch.error(ErrorCode::bad_data, server.url()), Contains("12 bytes"));
  CHECK(fetch.left() == nothing);
}

TEST_CASE("the next mirror is tried when one does not serve") {
  Fetch fetch;
  const HttpServer absent([](const HttpRequest&) { return HttpAnswer{.status = 404}; });
  const HttpServer wrong(serves(std::string(fetch.archive.size(), 'x')));
  const HttpServer right(serves(fetch.archive));
  fetch.options.mirrors = {absent.url(), wrong.url(), right.url()};
  CHECK(datasets::fetch_cifar10(fetch.options).source == right.url());
  CHECK(fetch.left() == installed);
}

TEST_CASE("offline, the message names the three ways on") {
  Fetch fetch;
  std::string url;
  {
    const HttpServer gone(serves(""));
    url = gone.url();
  }
  CHECK_THAT(fetch.error(ErrorCode::io, url), Contains(url) && Contains("--data DIR") &&
                                                  Contains("datasets/cifar10_mini") &&
                                                  Contains("--mirror URL"));
  CHECK(fetch.left() == nothing);
}

TEST_CASE("only https, and http on loopback hosts, are asked") {
  Fetch fetch;
  for (const char* const url :
       {"http://example.com/a.tar.gz", "file:///etc/hostname", "ftp://127.0.0.1/a.tar.gz",
        "http://127.0.0.1.example.com/", "", "http://localhost@example.com/", "not a url"}) {
    CHECK_THAT(fetch.error(ErrorCode::usage, url), Contains("https://"));
  }
}

TEST_CASE("redirects are followed on loopback but not to files or foreign http") {
  Fetch fetch;
  const HttpServer target(serves(fetch.archive));
  std::string location;
  const HttpServer server([&](const HttpRequest&) {
    return HttpAnswer{.status = 302, .body = "moved", .location = location};
  });
  for (const char* const refused :
       {"file:///etc/hostname", "http://example.com/a.tar.gz", "ftp://127.0.0.1/a"}) {
    location = refused;
    CHECK_THAT(fetch.error(ErrorCode::io, server.url()), Contains("redirects to " + location));
    CHECK(fetch.left() == nothing);
  }
  location = server.url();
  CHECK_THAT(fetch.error(ErrorCode::io, server.url()), Contains("more than 5 times"));
  location = target.url();
  fetch.from(server.url());
  CHECK(fetch.left() == installed);
}

TEST_CASE("a stopped download keeps what it has") {
  Fetch fetch;
  const HttpServer server(
      [&](const HttpRequest&) { return HttpAnswer{.body = fetch.archive, .cut_after = 2000}; });
  fetch.options.progress = [](const datasets::FetchProgress& p) { return p.received < 2000; };
  fetch.error(ErrorCode::interrupted, server.url());
  CHECK(fs::file_size(fetch.part()) == 2000);
}

TEST_CASE("members outside of the known folder and unknown ones are passed over") {
  auto members = good_members();
  members.insert(members.begin(), {{"../data_batch_1.bin", "evil"},
                                   {"cifar-10-batches-bin/../../evil", "evil"},
                                   {"/cifar-10-batches-bin/data_batch_1.bin", "evil"},
                                   {"cifar-10-batches-bin/extra", "evil"},
                                   {"cifar-10-batches-bin/link", "", "/etc/hostname"}});
  Fetch fetch(tar_gz(members));
  const HttpServer server(serves(fetch.archive));
  fetch.from(server.url());
  CHECK(fetch.left() == installed);
  CHECK(std::distance(fs::directory_iterator(fetch.folder / installed[0]), {}) == 8);
  CHECK(test::read_file(fetch.folder / "cifar-10-batches-bin/data_batch_1.bin") ==
        good_members()[0].content);
}

TEST_CASE("an archive whose known members are odd is refused and removed") {
  const auto refused = [](const std::string& archive) {
    Fetch fetch(archive);
    const HttpServer server(serves(fetch.archive));
    const std::string message = fetch.error(ErrorCode::bad_data, server.url());
    CHECK(fetch.left() == nothing);
    return message;
  };
  const auto with = [](const auto& change) {
    auto members = good_members();
    change(members);
    return tar_gz(members);
  };
  CHECK_THAT(refused(with([](auto& m) {
               m[2] = {m[2].path, "", "/etc/hostname"};
             })),
             Contains("data_batch_3.bin is not a regular file"));
  CHECK_THAT(refused(with([](auto& m) {
               m[1] = {m[1].path, "", "", m[0].path};
             })),
             Contains("data_batch_2.bin is not a regular file"));
  CHECK_THAT(refused(with([](auto& m) { m[5].content += "x"; })), Contains("6147 bytes"));
  CHECK_THAT(refused(with([](auto& m) { m[7].content.assign((1 << 20) + 1, ' '); })),
             Contains("at most 1048576"));
  CHECK_THAT(refused(with([](auto& m) { m.push_back(m[0]); })), Contains("there twice"));
  CHECK_THAT(refused(with([](auto& m) { m.erase(m.begin() + 4); })),
             Contains("data_batch_5.bin is missing"));
  const std::string whole = tar_gz(good_members());
  CHECK_THAT(refused(whole.substr(0, whole.size() / 2)), Contains("not a complete .tar.gz"));
  refused("no archive at all");
}

TEST_CASE("a destination that cannot be used is named") {
  Fetch fetch;
  const HttpServer server(serves(fetch.archive));
  test::write_file(fetch.folder / "cifar-10-batches-bin/data_batch_1.bin", "mine");
  CHECK_THAT(fetch.error(ErrorCode::cannot_create, server.url()), Contains("incomplete"));
  CHECK(test::read_file(fetch.folder / "cifar-10-batches-bin/data_batch_1.bin") == "mine");

  fetch.options.to = fetch.folder / "cifar-10-batches-bin/data_batch_1.bin";
  CHECK_THAT(fetch.error(ErrorCode::cannot_create, server.url()),
             Contains(fetch.options.to.string()));
  fetch.options.to = "/proc/perch";
  CHECK_THAT(fetch.error(ErrorCode::cannot_create, server.url()), Contains("/proc/perch"));
  CHECK(server.requests().empty());
}
