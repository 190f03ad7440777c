import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.bson.Document;
import io.netty.channel.Channel;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.Set;
import org.h2.mvstore.MVStore;

/**
 * The wire-compatible server of the tests: {@code MongoStandIn PORT [FILE]} prints its port when it accepts
 * connections. With a file, what it has answered survives a kill, as with a MongoDB that is asked for j=true.
 */
public final class MongoStandIn extends H2Backend {
    private static final Set<String> READS =
        Set.of("ismaster", "hello", "ping", "find", "getmore", "count", "aggregate", "listcollections", "listindexes");

    /** pymongo refuses servers of an older wire version than 8; 13 is MongoDB 5.0's. */
    private static final MongoVersion VERSION = new MongoVersion() {
        @Override
        public List<Integer> getVersionArray() {
            return List.of(5, 0, 0);
        }

        @Override
        public int getWireVersion() {
            return 13;
        }
    };

    private MongoStandIn(MVStore store) {
        super(store);
        version(VERSION);
    }

    /** One at a time: two writes that create the same collection would create it twice. */
    @Override
    public synchronized Document handleCommand(Channel channel, String database, String command, Document query) {
        Document answer = super.handleCommand(channel, database, command, query);
        if (!isInMemory() && !READS.contains(command.toLowerCase())) {
            commit();
        }
        return answer;
    }

    public static void main(String[] arguments) {
        int port = Integer.parseInt(arguments[0]);
        // No commits but ours: a background thread's would come up to a second later than the answer.
        MVStore store = arguments.length == 1
            ? MVStore.open(null)
            : new MVStore.Builder().fileName(arguments[1]).autoCommitDisabled().open();
        MongoServer server = new MongoServer(new MongoStandIn(store));
        server.bind(new InetSocketAddress("127.0.0.1", port), 1, 2);
        System.out.println(server.getLocalAddress().getPort());
    }
}
