"""Word lists for the demo data: invented people of eight countries.

Lists run from common to rare; the generator draws their heads more often, so that some names are shared by
several people, as in life. Mailbox domains are under the reserved `.example` so that no address can be real.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Country:
    """How people of one country are called, where they live and how their numbers look.

    `postcode` and the tails of `mobile` and `landline` are patterns: `#` stands for a digit, `@` for a capital.
    `nicknames` maps a first name to the short form that people type in web forms.
    """

    code: str
    women: tuple[str, ...]
    men: tuple[str, ...]
    surnames: tuple[str, ...]
    streets: tuple[str, ...]
    cities: tuple[str, ...]
    postcode: str
    dial: str
    mobile: str
    landline: str
    nicknames: dict[str, str]


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(","))


COUNTRIES = (
    Country(
        code="NL",
        women=_words(
            "Emma, Sanne, Lotte, Julia, Anouk, Femke, Eva, Iris, Marloes, Fleur, Willemijn, Saskia, Noor, Hanneke, "
            "Johanna, Mirjam, Tess, Roos, Fatima, Ingrid"
        ),
        men=_words(
            "Jan, Daan, Sem, Thijs, Bram, Lars, Pieter, Ruben, Johannes, Willem, Sander, Jeroen, Koen, Hendrik, "
            "Maarten, Mohammed, Gijs, Joost, Teun, Wouter"
        ),
        surnames=_words(
            "de Jong, Jansen, de Vries, van den Berg, Bakker, van Dijk, Visser, Smit, Meijer, de Boer, Mulder, "
            "de Groot, Bos, Vos, Peters, Hendriks, van Leeuwen, Dekker, Brouwer, de Wit, Dijkstra, Smits, de Graaf, "
            "van der Meer, Kuipers, Veenstra, van der Linden, Yılmaz, Hoekstra, Scholten"
        ),
        streets=_words(
            "Dorpsstraat, Kerkstraat, Molenweg, Stationsstraat, Wilhelminastraat, Beatrixlaan, Eikenlaan, "
            "Schoolstraat, Nieuwe Gracht, Havenkade, Parkweg, Lindelaan"
        ),
        cities=_words("Amsterdam, Rotterdam, Utrecht, Den Haag, Eindhoven, Groningen, Tilburg, Zwolle, Leiden"),
        postcode="#### @@",
        dial="31",
        mobile="61#######",
        landline="20#######",
        nicknames={
            "Johannes": "Hans",
            "Willem": "Wim",
            "Hendrik": "Henk",
            "Pieter": "Piet",
            "Johanna": "Hanna",
            "Willemijn": "Willy",
        },
    ),
    Country(
        code="DE",
        women=_words(
            "Anna, Lena, Marie, Sophie, Laura, Katharina, Julia, Hannah, Sabine, Petra, Ursula, Jana, Greta, "
            "Elisabeth, Franziska, Ayşe, Heike, Birgit, Jule, Mia"
        ),
        men=_words(
            "Lukas, Jonas, Paul, Felix, Maximilian, Thomas, Michael, Andreas, Stefan, Wolfgang, Jürgen, Jörg, Klaus, "
            "Tobias, Alexander, Mehmet, Matthias, Emil, Uwe, Günther"
        ),
        surnames=_words(
            "Müller, Schmidt, Schneider, Fischer, Weber, Meyer, Wagner, Becker, Schulz, Hoffmann, Schäfer, Koch, "
            "Bauer, Richter, Klein, Wolf, Schröder, Neumann, Schwarz, Zimmermann, Braun, Krüger, Hofmann, Hartmann, "
            "Lange, Krause, Köhler, Weiß, Kaya, Vogel"
        ),
        streets=_words(
            "Hauptstraße, Bahnhofstraße, Gartenstraße, Schillerstraße, Lindenweg, Bergstraße, Goethestraße, "
            "Am Markt, Kirchgasse, Waldweg, Ringstraße, Mühlenweg"
        ),
        cities=_words("Berlin, Hamburg, München, Köln, Frankfurt am Main, Leipzig, Nürnberg, Bremen, Münster"),
        postcode="1####",
        dial="49",
        mobile="1511#######",
        landline="30#######",
        nicknames={
            "Maximilian": "Max",
            "Alexander": "Alex",
            "Katharina": "Kathi",
            "Elisabeth": "Lisa",
            "Franziska": "Franzi",
        },
    ),
    Country(
        code="FR",
        women=_words(
            "Marie, Camille, Léa, Chloé, Manon, Sylvie, Nathalie, Isabelle, Inès, Élodie, Amélie, Hélène, Margaux, "
            "Zoé, Anne-Sophie, Aïcha, Céline, Juliette, Sandrine, Odile"
        ),
        men=_words(
            "Jean, Lucas, Hugo, Louis, Gabriel, Pierre, Michel, Philippe, Nicolas, Julien, François, Jérôme, Rémi, "
            "Antoine, Jean-Luc, Karim, Théo, Benoît, Étienne, Mathieu"
        ),
        surnames=_words(
            "Martin, Bernard, Dubois, Thomas, Robert, Richard, Petit, Durand, Leroy, Moreau, Simon, Laurent, Lefèvre, "
            "Michel, Garcia, David, Bertrand, Roux, Vincent, Fournier, Morel, Girard, André, Mercier, Dupont, Lambert, "
            "Bonnet, Benali, Guérin, Faure"
        ),
        streets=_words(
            "rue de la Paix, rue Victor Hugo, avenue de la Gare, rue des Écoles, place du Marché, rue Pasteur, "
            "boulevard Voltaire, chemin des Vignes, rue du Moulin, allée des Tilleuls, rue de l'Église, impasse du Lac"
        ),
        cities=_words("Paris, Lyon, Marseille, Toulouse, Nantes, Bordeaux, Lille, Rennes, Saint-Étienne"),
        postcode="3#0##",
        dial="33",
        mobile="61#######",
        landline="14#######",
        nicknames={
            "Anne-Sophie": "Anne",
            "Nathalie": "Nath",
            "Philippe": "Phil",
            "Nicolas": "Nico",
            "Antoine": "Toine",
        },
    ),
    Country(
        code="ES",
        women=_words(
            "María, Lucía, Carmen, Ana, Laura, Marta, Isabel, Cristina, Pilar, Sofía, Elena, Rocío, Nuria, Inés, "
            "Dolores, Beatriz, Alba, Rosario, Irene, Mercedes"
        ),
        men=_words(
            "Antonio, José, Manuel, Francisco, David, Juan, Javier, Daniel, Carlos, Miguel, Alejandro, Pablo, Álvaro, "
            "Sergio, Raúl, Iván, Jesús, Adrián, Ignacio, Hugo"
        ),
        surnames=_words(
            "García, Rodríguez, González, Fernández, López, Martínez, Sánchez, Pérez, Gómez, Martín, Jiménez, Ruiz, "
            "Hernández, Díaz, Moreno, Muñoz, Álvarez, Romero, Alonso, Gutiérrez, Navarro, Torres, Domínguez, Vázquez, "
            "Ramos, Gil, Ramírez, Serrano, Molina, Ibáñez"
        ),
        streets=_words(
            "Calle Mayor, Calle Real, Avenida de la Constitución, Plaza de España, Calle del Sol, Paseo del Prado, "
            "Calle Nueva, Calle San Juan, Ronda Norte, Camino Viejo, Calle de la Luna, Avenida del Mar"
        ),
        cities=_words("Madrid, Barcelona, Valencia, Sevilla, Zaragoza, Málaga, Bilbao, Alicante, A Coruña"),
        postcode="28###",
        dial="34",
        mobile="61#######",
        landline="91#######",
        nicknames={
            "Francisco": "Paco",
            "José": "Pepe",
            "Dolores": "Lola",
            "Ignacio": "Nacho",
            "Alejandro": "Álex",
            "Isabel": "Isa",
        },
    ),
    Country(
        code="GB",
        women=_words(
            "Olivia, Emily, Charlotte, Sophie, Grace, Elizabeth, Margaret, Alice, Hannah, Lucy, Catherine, Priya, "
            "Megan, Rebecca, Zara, Susan, Eleanor, Florence, Bethany, Victoria"
        ),
        men=_words(
            "James, Oliver, Harry, William, Thomas, George, Robert, David, Edward, Daniel, Michael, Christopher, "
            "Callum, Benjamin, Raj, Stephen, Alfie, Samuel, Andrew, Rhys"
        ),
        surnames=_words(
            "Smith, Jones, Taylor, Brown, Williams, Wilson, Johnson, Davies, Patel, Wright, Walker, White, Edwards, "
            "Green, Hall, Wood, Harris, Clarke, Jackson, Turner, Hill, Cooper, Ward, Khan, Morris, O'Connor, "
            "MacDonald, Bell, Griffiths, Begum"
        ),
        streets=_words(
            "High Street, Station Road, Church Lane, Victoria Road, Green Lane, Manor Road, Mill Lane, The Crescent, "
            "Queens Road, Park Avenue, Orchard Close, Kings Road"
        ),
        cities=_words(
            "London, Manchester, Birmingham, Leeds, Bristol, Edinburgh, Cardiff, Norwich, Newcastle upon Tyne"
        ),
        postcode="@@# #@@",
        dial="44",
        mobile="7912######",
        landline="2071######",
        nicknames={
            "William": "Bill",
            "Robert": "Bob",
            "Elizabeth": "Liz",
            "Margaret": "Peggy",
            "Catherine": "Kate",
            "Christopher": "Chris",
            "Edward": "Ted",
        },
    ),
    Country(
        code="PL",
        women=_words(
            "Anna, Katarzyna, Maria, Agnieszka, Małgorzata, Barbara, Zofia, Ewa, Joanna, Magdalena, Zuzanna, "
            "Aleksandra, Łucja, Halina, Natalia, Elżbieta, Oliwia, Hanna, Jadwiga, Kinga"
        ),
        men=_words(
            "Piotr, Krzysztof, Andrzej, Tomasz, Jan, Paweł, Michał, Marcin, Stanisław, Jakub, Łukasz, Grzegorz, "
            "Wojciech, Mateusz, Zbigniew, Adam, Kacper, Rafał, Szymon, Wiesław"
        ),
        surnames=_words(
            "Nowak, Wójcik, Kowalczyk, Woźniak, Mazur, Krawczyk, Kaczmarek, Zając, Król, Wieczorek, Wróbel, Jabłoński, "
            "Stępień, Dudek, Adamczyk, Pawlak, Sikora, Walczak, Baran, Rutkowski, Michalak, Szewczyk, Ostrowski, "
            "Pietrzak, Duda, Zalewski, Sobczak, Czarnecki, Wilk, Lis"
        ),
        streets=_words(
            "ul. Polna, ul. Leśna, ul. Słoneczna, ul. Krótka, ul. Szkolna, ul. Ogrodowa, ul. Lipowa, ul. Kościuszki, "
            "ul. Mickiewicza, al. Niepodległości, ul. Wiśniowa, pl. Wolności"
        ),
        cities=_words("Warszawa, Kraków, Łódź, Wrocław, Poznań, Gdańsk, Szczecin, Lublin, Białystok"),
        postcode="##-###",
        dial="48",
        mobile="512######",
        landline="22#######",
        nicknames={
            "Katarzyna": "Kasia",
            "Małgorzata": "Gosia",
            "Krzysztof": "Krzysiek",
            "Aleksandra": "Ola",
            "Stanisław": "Staszek",
            "Jakub": "Kuba",
        },
    ),
    Country(
        code="IT",
        women=_words(
            "Giulia, Sofia, Francesca, Chiara, Maria, Anna, Sara, Martina, Paola, Elena, Alessia, Valentina, Federica, "
            "Rosa, Ilaria, Giovanna, Beatrice, Caterina, Noemi, Luisa"
        ),
        men=_words(
            "Marco, Andrea, Giuseppe, Francesco, Luca, Alessandro, Matteo, Giovanni, Lorenzo, Antonio, Stefano, "
            "Davide, Roberto, Paolo, Niccolò, Simone, Salvatore, Pietro, Nicola, Enzo"
        ),
        surnames=_words(
            "Rossi, Russo, Ferrari, Esposito, Bianchi, Romano, Colombo, Ricci, Marino, Greco, Bruno, Gallo, Conti, "
            "De Luca, Mancini, Costa, Giordano, Rizzo, Lombardi, Moretti, Barbieri, Fontana, Santoro, Mariani, "
            "Rinaldi, Caruso, Ferrara, D'Angelo, Galli, Martini"
        ),
        streets=_words(
            "Via Roma, Via Garibaldi, Corso Italia, Via Dante, Piazza San Marco, Via Verdi, Viale Europa, Via Mazzini, "
            "Via dei Mille, Largo Augusto, Via del Mulino, Vicolo Stretto"
        ),
        cities=_words("Roma, Milano, Napoli, Torino, Bologna, Firenze, Bari, Verona, Forlì"),
        postcode="#01##",
        dial="39",
        mobile="333#######",
        landline="02########",
        nicknames={
            "Giuseppe": "Beppe",
            "Giovanni": "Gianni",
            "Alessandro": "Ale",
            "Francesca": "Franci",
            "Salvatore": "Totò",
        },
    ),
    Country(
        code="SE",
        women=_words(
            "Anna, Eva, Maria, Karin, Kristina, Lena, Emma, Astrid, Elsa, Ingrid, Sara, Malin, Åsa, Linnéa, Gunilla, "
            "Maja, Birgitta, Frida, Sanna, Ebba"
        ),
        men=_words(
            "Lars, Erik, Anders, Johan, Karl, Per, Mikael, Nils, Oskar, Gustav, Björn, Göran, Håkan, Fredrik, Axel, "
            "Henrik, Olof, Sven, Viktor, Elias"
        ),
        surnames=_words(
            "Andersson, Johansson, Karlsson, Nilsson, Eriksson, Larsson, Olsson, Persson, Svensson, Gustafsson, "
            "Pettersson, Jonsson, Jansson, Hansson, Bengtsson, Lindberg, Lindström, Lindqvist, Berg, Åberg, Sjöberg, "
            "Holm, Nyström, Öberg, Wikström, Sandström, Ek, Björk, Hedlund, Ström"
        ),
        streets=_words(
            "Storgatan, Kungsgatan, Skolgatan, Järnvägsgatan, Björkvägen, Ringvägen, Kyrkogatan, Strandvägen, "
            "Parkgatan, Norra vägen, Ängsgatan, Hamngatan"
        ),
        cities=_words("Stockholm, Göteborg, Malmö, Uppsala, Örebro, Linköping, Västerås, Lund, Umeå"),
        postcode="1## ##",
        dial="46",
        mobile="701######",
        landline="8######",
        nicknames={
            "Kristina": "Stina",
            "Birgitta": "Gittan",
            "Gustav": "Gurra",
            "Mikael": "Micke",
            "Fredrik": "Fredde",
        },
    ),
)

# Mailbox providers a private person uses, common first; the last one is an employer's.
MAIL_HOSTS = ("mail.example", "postbox.example", "inbox.example", "webmail.example", "work.example")

SHOPS = ("Utrecht", "Berlin", "Lyon", "Madrid", "Leeds", "Kraków", "Torino", "Malmö")

# What the shop sells: stock number, price in cents.
GOODS = (
    ("tea-green", 650),
    ("tea-black", 590),
    ("coffee-250", 895),
    ("coffee-1kg", 2790),
    ("mug", 1250),
    ("kettle", 4900),
    ("grinder", 8900),
    ("filter-100", 420),
    ("espresso", 32900),
    ("biscuits", 375),
)

PHONES = ("Pixel 9", "Galaxy S25", "iPhone 16", "iPhone 13", "Redmi 14")
TABLETS = ("iPad 10", "Galaxy Tab A9")

# What broken clients and hurried clerks send instead of an identifier, by namespace.
JUNK = {
    "email": ("noreply@shop.example", "null", "no-reply@shop.example"),
    "phone": ("0000000000", "1111111111", "null", "99999999"),
    "cookie_id": ("undefined", "null", "anonymous", "[object Object]"),
    "device_id": ("00000000-0000-0000-0000-000000000000", "null"),
    "advertising_id": ("00000000-0000-0000-0000-000000000000",),
    "loyalty_id": ("0000000000", "null"),
}
